import { describeError } from '@muster/proto/log';
import { isRecord } from '@muster/proto/record';
import type { Dispatcher } from 'undici';

/** An acknowledgement or a refusal is far smaller; the rest of a longer body is not read. */
const REPLY_BYTES_MAX = 64 * 1024;

/** `body` is what the JSON of the answer says, or undefined when it is not JSON. */
export type Answer =
  | { readonly kind: 'answered'; readonly status: number; readonly retryAfter: string; readonly body: unknown }
  | { readonly kind: 'unreachable'; readonly reason: string };

export type PostRequest = {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | string;
  /** How long the request may take, to the end of its answer. */
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
};

/** Sends one request to the collector. No answer is an answer too: it does not throw. */
export async function post(pool: Dispatcher, { deadlineMs, signal, ...request }: PostRequest): Promise<Answer> {
  // AbortSignal.any would do all this in a line, but it keeps 2 KB for every request as long as `signal` lives.
  const controller = new AbortController();
  const stop = () => controller.abort(new Error('the agent is stopping'));
  const timer = setTimeout(() => controller.abort(new Error(`no answer within ${deadlineMs} ms`)), deadlineMs);
  signal.addEventListener('abort', stop);
  if (signal.aborted) stop();
  try {
    const options = { method: 'POST', signal: controller.signal, ...request } as const;
    const { statusCode, headers, body } = await pool.request(options);
    const { 'retry-after': retryAfter } = headers;
    return {
      kind: 'answered',
      status: statusCode,
      retryAfter: typeof retryAfter === 'string' ? retryAfter : '',
      body: parseJson(await readStart(body)),
    };
  } catch (cause) {
    return { kind: 'unreachable', reason: describeFailure(cause) };
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
  }
}

function describeFailure(cause: unknown): string {
  if (!isRecord(cause) || cause['code'] !== 'ERR_SSL_WRONG_VERSION_NUMBER') return describeError(cause);
  return 'what answers there does not speak TLS; if it is the collector itself, --url wants http instead of https';
}

async function readStart(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.byteLength;
    if (bytes > REPLY_BYTES_MAX) break; // ends the stream, and with it the connection
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
