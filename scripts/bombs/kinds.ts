import { once } from 'node:events';
import { createZstdCompress, gzipSync, zstdCompressSync } from 'node:zlib';

import { BATCH_CONTENT_TYPE, INGEST_PATH } from '@muster/proto/push';

import { counted, nested } from '../fuzz/message.ts';

/**
 * Something of small size and great weight. `body`: a whole request. `slow`: a connection that says this and no more;
 * it is refused by an answer, or by being cut when more have come than are borne.
 */
export type Bomb =
  | {
      readonly kind: 'body';
      readonly name: string;
      readonly encoding: string | null;
      readonly make: () => Promise<Buffer>;
    }
  | {
      readonly kind: 'slow';
      readonly name: string;
      readonly refusal: 'answer' | 'cut';
      readonly write: (token: string) => string;
    };

const ZEROS_BYTES = 512 * 1024 * 1024;

export function makeBombs(): readonly Bomb[] {
  const gigabytes = [0xc6, 0xdb, 0xdd, 0xdf] as const; // bin 32, str 32, array 32, map 32
  const nest = nested(1_000_000);
  return [
    bodyBomb('zstd of 512 MB zeros', 'zstd', async () => zstdCompressSync(Buffer.alloc(ZEROS_BYTES))),
    bodyBomb('zstd of 512 MB zeros, size unsaid', 'zstd', zstdUnsaid),
    bodyBomb('zstd of 4,000 frames', 'zstd', async () => {
      const frame = zstdCompressSync(Buffer.alloc(128 * 1024));
      return Buffer.concat(Array.from({ length: 4_000 }, () => frame));
    }),
    bodyBomb('gzip of 512 MB zeros', 'gzip', async () => gzipSync(Buffer.alloc(ZEROS_BYTES))),
    bodyBomb('gzip, its size a lie', 'gzip', async () => {
      const body = gzipSync(Buffer.alloc(16 * 1024 * 1024));
      body.writeUInt32LE(100, body.length - 4);
      return body;
    }),
    bodyBomb('1 M nested arrays', null, async () => nest),
    bodyBomb('1 M nested arrays, zstd', 'zstd', async () => zstdCompressSync(nest)),
    ...gigabytes.map((type) =>
      bodyBomb(`4 GB length, type 0x${type.toString(16)}`, null, async () => counted(type, 0xffff_ffff)),
    ),
    slowBomb('slow: says nothing', 'cut', () => ''),
    slowBomb('slow: headers without an end', 'cut', () => `POST ${INGEST_PATH} HTTP/1.1\r\nHost: bomb\r\nX-Slow: `),
    slowBomb('slow: body without an end, no token', 'answer', () => `${writeHead('wrong', 1000, null)}abc`),
    slowBomb('slow: body without an end, a token', 'answer', (token) => `${writeHead(token, 1000, null)}abc`),
    slowBomb('slow: Content-Length of 4 GB, a token', 'answer', (token) => writeHead(token, 4 * 2 ** 30, null)),
  ];
}

export function writeHead(token: string, length: number, encoding: string | null): string {
  const lines = [
    `POST ${INGEST_PATH} HTTP/1.1`,
    'Host: bomb',
    `Authorization: Bearer ${token}`,
    `Content-Type: ${BATCH_CONTENT_TYPE}`,
    `Content-Length: ${length}`,
    ...(encoding === null ? [] : [`Content-Encoding: ${encoding}`]),
  ];
  return `${lines.join('\r\n')}\r\n\r\n`;
}

function bodyBomb(name: string, encoding: string | null, make: () => Promise<Buffer>): Bomb {
  return { kind: 'body', name, encoding, make };
}

function slowBomb(name: string, refusal: 'answer' | 'cut', write: (token: string) => string): Bomb {
  return { kind: 'slow', name, refusal, write };
}

/** Sent as it is made, zstd cannot say how much it will be. */
async function zstdUnsaid(): Promise<Buffer> {
  const stream = createZstdCompress();
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  const zeros = Buffer.alloc(1024 * 1024);
  for (let bytes = 0; bytes < ZEROS_BYTES; bytes += zeros.length) if (!stream.write(zeros)) await once(stream, 'drain');
  stream.end();
  await once(stream, 'end');
  return Buffer.concat(chunks);
}
