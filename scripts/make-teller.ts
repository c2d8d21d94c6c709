import type { JobProgress } from '@muster/proto/api';

/** How often a person is told of progress. */
const TELL_MS = 1_000;

/**
 * Tells progress, and how fast it is, a line a second at most; and that something is done, or another step has begun:
 * then less is done than before.
 */
export function makeTeller(write: (line: string) => void, now: () => number): (progress: JobProgress) => void {
  let first = { done: Infinity, atMs: 0 };
  let lastDone = 0;
  let toldMs = 0;
  return ({ done, total, what }) => {
    const atMs = now();
    const isBegun = done < lastDone || first.done === Infinity;
    const isEnded = done === total && done !== lastDone;
    lastDone = done;
    if (isBegun) first = { done, atMs };
    if (!isBegun && !isEnded && atMs - toldMs < TELL_MS) return;
    toldMs = atMs;
    const rate = atMs > first.atMs ? ` (${(((done - first.done) * 1000) / (atMs - first.atMs)).toFixed(1)}/s)` : '';
    write(`${done}${total === null ? '' : ` of ${total}`}${rate}: ${what}\n`);
  };
}
