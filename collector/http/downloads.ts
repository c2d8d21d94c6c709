import type { ReadStream } from 'node:fs';
import type { Socket } from 'node:net';

import { addressOf, type NoteTurnedAway } from './turned-away.ts';

/** Downloads at a time: whoever is on a slow line holds a file and a connection. A fleet that installs at once asks again. */
export const DOWNLOADS_MAX = 64;
/** Longer than an agent waits for its own next version. */
const DOWNLOAD_MS_MAX = 30 * 60_000;
/**
 * Who takes less in a second, after the time in which it may begin, gives way when all places are taken. Others do not,
 * even the oldest: many that share one line would cut one another off for ever.
 */
const SECOND_BYTES_MIN = 64 * 1024;
const BEGIN_MS = 10_000;

type Download = { readonly file: ReadStream; readonly socket: Socket | undefined; readonly startedMs: number };

export type DownloadsOptions = {
  /** The connection is no stranger's while it downloads, for these limits hold for it; the function given back ends that. */
  readonly setAside: (socket: Socket) => () => void;
  readonly onTurnedAway: NoteTurnedAway;
  readonly now: () => number;
  readonly msMax?: number;
};

/** Files on their way to callers whom nobody knows: a limited number, each for a limited time. */
export type Downloads = {
  /** What `open` opens, if there is a place: a free one, or that of the oldest that is too slow, which is cut. */
  readonly begin: (open: () => ReadStream, socket: Socket | undefined) => ReadStream | null;
};

export function makeDownloads({ setAside, onTurnedAway, now, msMax = DOWNLOAD_MS_MAX }: DownloadsOptions): Downloads {
  const underWay = new Set<Download>(); // in the order of arrival

  function isSlow({ file, startedMs }: Download): boolean {
    const seconds = (now() - startedMs - BEGIN_MS) / 1000;
    return file.bytesRead < seconds * SECOND_BYTES_MIN;
  }

  function cut(download: Download): void {
    underWay.delete(download);
    const { file, socket } = download;
    if (socket !== undefined) onTurnedAway('slow-download', addressOf(socket));
    socket?.destroy();
    file.destroy();
  }

  return {
    begin(open, socket) {
      if (underWay.size >= DOWNLOADS_MAX) {
        const slow = [...underWay].find(isSlow);
        if (slow === undefined) return null;
        cut(slow);
      }
      const download = { file: open(), socket, startedMs: now() };
      underWay.add(download);
      const bringBack = socket === undefined ? null : setAside(socket);
      const timer = setTimeout(() => cut(download), msMax);
      download.file.once('close', () => {
        clearTimeout(timer);
        underWay.delete(download);
        bringBack?.();
      });
      return download.file;
    },
  };
}
