import type { Context } from 'hono';

import { err, ok, type Result } from '@muster/proto/result';

/** Reads a body of at most `bytesMax`; 'too-large' as soon as that is known, 'cut' when the sender went away. */
export async function readBody(context: Context, bytesMax: number): Promise<Result<Uint8Array, 'too-large' | 'cut'>> {
  const declared = context.req.header('content-length');
  if (declared !== undefined) {
    if (Number(declared) > bytesMax) return err('too-large');
    // HTTP ends the body there. Read in one go, without a stream of the web, it costs a fraction.
    return context.req.arrayBuffer().then(
      (bytes) => ok(new Uint8Array(bytes)),
      () => err('cut'),
    );
  }
  const body = context.req.raw.body;
  if (body === null) return ok(new Uint8Array());
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  try {
    for await (const chunk of body) {
      bytes += chunk.byteLength;
      if (bytes > bytesMax) return err('too-large');
      chunks.push(chunk);
    }
  } catch {
    return err('cut');
  }
  return ok(chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks));
}

/** Enough for every form. */
const JSON_BYTES_MAX = 16 * 1024;

/** Reads a JSON body of at most 16 KiB; null, which no route takes, when it is larger or not JSON. */
export async function readJson(context: Context): Promise<unknown> {
  const body = await readBody(context, JSON_BYTES_MAX);
  if (!body.ok) return null;
  try {
    return JSON.parse(Buffer.from(body.value).toString('utf8'));
  } catch {
    return null;
  }
}
