import type { ReadStream } from 'node:fs';

/** Downloads at a time: whoever is on a slow line holds a file and a connection. A fleet that installs at once asks again. */
const DOWNLOADS_MAX = 64;
/** How long one may go on as slowly as it likes. */
const GRACE_MS = 30_000;
/** An agent gives up a download that is as slow as this: DOWNLOAD_MS_MAX in agent/update/download.ts. */
const BYTES_PER_SECOND_MIN = 30_000;

export type Downloads = {
  /** Whether there is a place. If so, it is free again when the stream of the file that `open` gives has closed. */
  readonly begin: (open: () => ReadStream) => ReadStream | null;
};

/**
 * The places for downloads. When all are taken, the slowest gives up its place if it is too slow to come to an end:
 * anyone may ask for a file and then not read it, and must not keep a fleet from its agents by that.
 */
export function makeDownloads(monotonicMs: () => number): Downloads {
  const running = new Map<ReadStream, number>();

  /** What was read of the file, which is ahead of what was sent by what waits on the way; less than a mebibyte or two. */
  function rateOf([stream, startedMs]: readonly [ReadStream, number]): number {
    const elapsedMs = monotonicMs() - startedMs;
    return elapsedMs < GRACE_MS ? Infinity : (stream.bytesRead * 1000) / elapsedMs;
  }

  function makeRoom(): void {
    const [slowest] = [...running].toSorted((a, b) => rateOf(a) - rateOf(b));
    if (slowest === undefined || rateOf(slowest) >= BYTES_PER_SECOND_MIN) return;
    running.delete(slowest[0]);
    slowest[0].destroy(new Error('Cannot go on with a download: it is too slow, and others wait'));
  }

  return {
    begin: (open) => {
      if (running.size >= DOWNLOADS_MAX) makeRoom();
      if (running.size >= DOWNLOADS_MAX) return null;
      const stream = open();
      running.set(stream, monotonicMs());
      return stream.once('close', () => running.delete(stream));
    },
  };
}
