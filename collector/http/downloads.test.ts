import { createReadStream, mkdtempSync, rmSync, writeFileSync, type ReadStream } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { makeDownloads, type Downloads } from './downloads.ts';

const DOWNLOADS_MAX = 64;
const FILE_BYTES = 4 * 1024 * 1024;

let directory: string;
const open: ReadStream[] = [];
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'muster-downloads-'));
  writeFileSync(join(directory, 'file'), new Uint8Array(FILE_BYTES));
});
afterAll(() => {
  for (const stream of open) stream.destroy();
  rmSync(directory, { recursive: true });
});

function begin(downloads: Downloads): ReadStream | null {
  const stream = downloads.begin(() => createReadStream(join(directory, 'file')));
  if (stream !== null) open.push(stream.on('error', () => undefined));
  return stream;
}

/** All places, each with so much of the file read. */
async function fill(downloads: Downloads, bytes: number): Promise<readonly (ReadStream | null)[]> {
  const streams = Array.from({ length: DOWNLOADS_MAX }, () => begin(downloads));
  for (const stream of streams) {
    stream?.on('data', () => {
      if (stream.bytesRead >= bytes) stream.pause();
    });
  }
  await expect.poll(() => streams.every((stream) => (stream?.bytesRead ?? 0) >= bytes)).toBe(true);
  return streams;
}

test.for([
  // bytes read, after so long, how many give up their place for one that comes
  [1, 29_999, 0],
  [1, 30_000, 1],
  [1_500_000, 40_000, 0],
  [1_500_000, 120_000, 1],
] as const)(
  'of downloads that have read %i bytes in %i ms %i gives up its place',
  async ([bytes, elapsedMs, count]) => {
    let nowMs = 5;
    const downloads = makeDownloads(() => nowMs);
    const streams = await fill(downloads, bytes);
    nowMs += elapsedMs;
    const another = begin(downloads);
    expect(another === null).toBe(count === 0);
    expect(streams.filter((stream) => stream?.destroyed)).toHaveLength(count);
  },
);

test('a place is free when its download has ended', async () => {
  const downloads = makeDownloads(() => 0);
  const [first] = await fill(downloads, 1);
  expect(begin(downloads)).toBe(null);
  first?.destroy();
  await expect.poll(() => begin(downloads)).not.toBe(null);
  expect(begin(downloads)).toBe(null);
});
