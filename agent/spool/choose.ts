import { FILE_BYTES } from './appender.ts';
import { BATCH_BYTES_MAX } from './join.ts';
import type { Entry } from './shelf.ts';

/** Once the limit of age is passed, so much is given up at once: one gap, not one for every batch. */
const AGE_STEP_MS = 15 * 60_000;

/** What is older than `fromMs`, and some more, when there is any; wherever it lies, for a clock may have been set. */
export function chooseOld(entries: readonly Entry[], fromMs: number): readonly Entry[] {
  const isOld = ({ header: { toMs } }: Entry, limitMs: number): boolean => toMs > 0 && toMs < limitMs;
  if (!entries.some((entry) => isOld(entry, fromMs))) return [];
  return entries.filter((entry) => isOld(entry, fromMs + AGE_STEP_MS));
}

/** All that is in the oldest files, as many as give back `bytes`: only a whole file gives any. */
export function chooseOldestFiles(entries: readonly Entry[], bytes: number): readonly Entry[] {
  const files = new Set(entries.flatMap(({ place }) => (place === null ? [] : [place.file])));
  const oldest = new Set([...files].slice(0, Math.max(0, Math.ceil(bytes / FILE_BYTES))));
  return entries.filter(({ place }) => place !== null && oldest.has(place.file));
}

/** The oldest of what waits in memory, so many that the others take less than `bytesMax`. */
export function chooseSurplus(unwritten: readonly Entry[], bytesMax: number): readonly Entry[] {
  let bytes = unwritten.reduce((sum, { encoded }) => sum + (encoded?.byteLength ?? 0), 0);
  // A tenth at once: one gap, not one with every write.
  const bytesKept = bytes > bytesMax ? 0.9 * bytesMax : bytesMax;
  const end = unwritten.findIndex(({ encoded }) => {
    if (bytes <= bytesKept) return true;
    bytes -= encoded?.byteLength ?? 0;
    return false;
  });
  return end === -1 ? [...unwritten] : unwritten.slice(0, end);
}

/** The newest that waits and was not postponed. */
export function chooseLast(entries: readonly Entry[]): readonly Entry[] {
  const last = entries.findLast(({ state, turn }) => state === 'waiting' && turn === 0);
  return last === undefined ? [] : [last];
}

/** The oldest that waits and those right behind it; where none does, the one of the postponed whose turn it is. */
export function chooseFirst(entries: readonly Entry[], ticksMax: number): readonly Entry[] {
  const isNext = ({ state, turn }: Entry): boolean => state === 'waiting' && turn === 0;
  const start = entries.findIndex(isNext);
  const first = entries[start];
  if (first === undefined) {
    const postponed = entries.filter(({ state }) => state === 'waiting').toSorted((a, b) => a.turn - b.turn);
    return postponed.slice(0, 1);
  }
  let ticks = countTicks(first);
  let { samples } = first.header;
  let end = start + 1;
  for (; !first.isAlone; end += 1) {
    const next = entries[end];
    if (next === undefined || !isNext(next) || next.isAlone) break;
    // What cannot travel with those before it need not be read.
    const { fromMs } = next.header;
    if (fromMs > 0 && fromMs <= (entries[end - 1]?.header.toMs ?? 0)) break;
    ticks += countTicks(next);
    samples += next.header.samples;
    if (ticks > ticksMax || 8 * samples > BATCH_BYTES_MAX) break;
  }
  return entries.slice(start, end);
}

/** As many as lie between its first and its last, the largest number that there can be. */
function countTicks({ header: { fromMs, toMs, everyMs } }: Entry): number {
  return toMs === 0 ? 0 : 1 + (everyMs === 0 ? 0 : (toMs - fromMs) / everyMs);
}
