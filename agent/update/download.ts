import { createHash } from 'node:crypto';
import { rmSync, statfsSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { createGunzip } from 'node:zlib';
import { pipeline } from 'node:stream/promises';

import { readBody, type HttpClient } from '../http-client.ts';
import type { Release, SignedManifest } from './release.ts';

/** Where a collector serves what scripts/build-agent.ts has made. */
export const RELEASE_PATH = '/api/v1/agent';

/** A manifest of a few platforms takes one; a signature takes 89 bytes. */
const MANIFEST_BYTES_MAX = 64 * 1024;
const SIGNATURE_BYTES_MAX = 256;
const MANIFEST_MS_MAX = 10_000;
/** 41 MB over a line of 30 KB a second. */
const DOWNLOAD_MS_MAX = 1_500_000;

/** The newest manifest that the collector has; null: it has none. Throws when it cannot be had. */
export async function fetchManifest(client: HttpClient, signal: AbortSignal): Promise<SignedManifest | null> {
  const within = AbortSignal.any([signal, AbortSignal.timeout(MANIFEST_MS_MAX)]);
  const manifest = await fetchSmall(client, 'manifest.json', { bytesMax: MANIFEST_BYTES_MAX, signal: within });
  if (manifest === null) return null;
  const signature = await fetchSmall(client, 'manifest.json.sig', { bytesMax: SIGNATURE_BYTES_MAX, signal: within });
  return signature === null ? null : { manifest, signature: signature.toString('latin1').trim() };
}

async function fetchSmall(
  client: HttpClient,
  file: string,
  { bytesMax, signal }: { readonly bytesMax: number; readonly signal: AbortSignal },
): Promise<Buffer | null> {
  const body = await get(client, file, signal);
  if (body === null) return null;
  const chunks: Buffer[] = [];
  for await (const chunk of limit(body, bytesMax)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/**
 * Fetches the executable of a release into a file, which has the owner's rights to run it when it is whole and what the
 * manifest says. Throws when it cannot be had, is anything else, or has no room here; a part is not left.
 */
export async function downloadRelease(
  client: HttpClient,
  { bytes, sha256, gz }: Release,
  { path, spareBytes, signal }: { readonly path: string; readonly spareBytes: number; readonly signal: AbortSignal },
): Promise<void> {
  const { bavail, bsize } = statfsSync(dirname(path));
  if (bavail * bsize < bytes + spareBytes) {
    const needed = Math.ceil((bytes + spareBytes) / 1024 / 1024);
    throw new Error(`Cannot make room for it: ${needed} MiB must be free in ${dirname(path)}`);
  }
  const within = AbortSignal.any([signal, AbortSignal.timeout(DOWNLOAD_MS_MAX)]);
  const body = await get(client, gz.file, within);
  if (body === null) throw new Error(`Cannot fetch ${gz.file}: the collector does not have it`);
  const hash = createHash('sha256');
  let written = 0;
  rmSync(path, { force: true, recursive: true });
  const file = await open(path, 'wx', 0o600);
  try {
    await pipeline(
      limit(body, gz.bytes),
      createGunzip(),
      (chunks: AsyncIterable<Buffer>) => limit(chunks, bytes),
      async (chunks: AsyncIterable<Buffer>) => {
        for await (const chunk of chunks) {
          hash.update(chunk);
          await file.writeFile(chunk); // from where the file stands
          written += chunk.byteLength;
        }
      },
      { signal: within },
    );
    if (written !== bytes || hash.digest('hex') !== sha256)
      throw new Error('its content is not what its manifest says');
    await file.chmod(0o700);
    await file.sync();
    await file.close();
  } catch (cause) {
    await file.close().catch(() => undefined);
    rmSync(path, { force: true });
    throw cause;
  }
}

/** Null: there is no such file. A redirection is not followed: it is an answer like any other that is not the file. */
async function get(client: HttpClient, file: string, signal: AbortSignal): Promise<AsyncIterable<Buffer> | null> {
  const { status, body } = await client.request({ method: 'GET', path: `${RELEASE_PATH}/${file}`, signal });
  if (status === 200) return body;
  await readBody(body, MANIFEST_BYTES_MAX).catch(() => undefined);
  if (status === 404) return null;
  throw new Error(`Cannot fetch ${file}: the collector answers ${status}`);
}

async function* limit(chunks: AsyncIterable<Buffer>, bytesMax: number): AsyncGenerator<Buffer> {
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.byteLength;
    if (bytes > bytesMax) throw new Error(`it is larger than ${bytesMax} bytes`);
    yield chunk;
  }
}
