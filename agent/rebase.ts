import { isRecord } from '@muster/proto/record';

/** Keeps a little over restarts. What cannot be read is null, what cannot be written is lost. */
export type Keep = { readonly read: () => unknown; readonly write: (value: unknown) => void };
export const KEEP_NOTHING: Keep = { read: () => null, write: () => undefined };

export type RebaseOptions = {
  /** Which thing bears this name now; null when that cannot be found out. */
  readonly identify: (name: string) => string | null;
  readonly keep: Keep;
};

/** Counters by the name of what they belong to; of one name always as many, in the same order. */
export type Counters = ReadonlyMap<string, readonly number[]>;

/** `identity` had the name last, counted from `base` on. */
type Bearer = { readonly identity: string | null; readonly base: readonly number[] | null; last: readonly number[] };

/** So many names that are gone are kept beside those that are there. */
export const GONE_MAX = 10_000;

/**
 * Makes counters continue only where the same thing bears the same name. A network card that takes over the name of
 * another one has counted something else: its own counters may stand anywhere, and a rise from the one to the other
 * would be a spike that never was. So they are counted from the moment of the change on, and begin at 0, which
 * everybody takes for a reset. That holds over restarts of the agent as far as `keep` does.
 *
 * To look up who bears a name costs more than to read its counters. So it is done for all when names came or went, or a
 * counter fell: where two have swapped names, one of them did. And it is done for a name of which a counter more than
 * doubled, which in its life no counter does often. One that takes a name over between two readings and has counted less
 * than that goes unseen.
 */
export function makeRebase({ identify, keep }: RebaseOptions): (counters: Counters) => Counters {
  const bearers = readBearers(keep.read());
  let names = '';
  return (counters) => {
    const present = [...counters.keys()].join('/');
    const fell = [...counters].some(([name, now]) => isBelow(now, bearers.get(name)?.last ?? []));
    const isMoved = present !== names || fell;
    names = present;
    const doubtful = isMoved
      ? counters
      : [...counters].filter(([name, now]) => hasLeapt(now, bearers.get(name)?.last ?? []));
    if (update(bearers, doubtful, identify)) keep.write(writeBearers(bearers));
    if (isMoved) forgetGone(bearers, counters.size);
    const rebased = new Map<string, readonly number[]>();
    for (const [name, now] of counters) {
      const bearer = bearers.get(name);
      if (bearer !== undefined) bearer.last = now;
      const base = bearer?.base ?? null;
      rebased.set(name, base === null ? now : now.map((value, i) => value - (base[i] ?? 0)));
    }
    return rebased;
  };
}

/** Looks who bears which of these names. True: what is to be kept has changed. */
function update(
  bearers: Map<string, Bearer>,
  counters: Iterable<readonly [name: string, now: readonly number[]]>,
  identify: RebaseOptions['identify'],
): boolean {
  let isChanged = false;
  for (const [name, now] of counters) {
    const known = bearers.get(name);
    const before = known?.identity ?? null;
    const identity = identify(name) ?? before;
    const isOther = before !== null && identity !== before;
    const wasReset = isBelow(now, known?.base ?? []);
    const base = isOther || wasReset ? now : (known?.base ?? null);
    isChanged ||= identity !== before || wasReset;
    bearers.delete(name); // so that those that are gone for longest come first
    bearers.set(name, { identity, base, last: now });
  }
  return isChanged;
}

function forgetGone(bearers: Map<string, Bearer>, present: number): void {
  const surplus = Math.max(0, bearers.size - present - GONE_MAX);
  for (const name of [...bearers.keys()].slice(0, surplus)) bearers.delete(name);
}

function hasLeapt(now: readonly number[], before: readonly number[]): boolean {
  return now.some((value, i) => value > 2 * (before[i] ?? 0));
}

function isBelow(now: readonly number[], before: readonly number[]): boolean {
  return before.some((value, i) => (now[i] ?? 0) < value);
}

/** Who cannot be identified cannot be told from another one either. */
function writeBearers(bearers: ReadonlyMap<string, Bearer>): unknown {
  return [...bearers].flatMap(([name, { identity, base }]) => (identity === null ? [] : [{ name, identity, base }]));
}

function readBearers(kept: unknown): Map<string, Bearer> {
  const bearers = new Map<string, Bearer>();
  for (const one of Array.isArray(kept) ? kept : []) {
    if (!isRecord(one) || typeof one['name'] !== 'string' || typeof one['identity'] !== 'string') continue;
    const { name, identity, base } = one;
    if (base !== null && !isNumbers(base)) continue;
    bearers.set(name, { identity, base, last: [] });
  }
  return bearers;
}

function isNumbers(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'number');
}
