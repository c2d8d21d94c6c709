import { hash } from 'node:crypto';

import { makeBasis, type Basis } from '@muster/proto/basis';
import type { Batch, Series } from '@muster/proto/batch';
import type { MetricDescription } from '@muster/proto/custom';

import { makePool } from './pool.ts';

/** What is kept of all hosts together, their series' texts with it: 10,000 of 100 series that are alike take half. */
export const BASES_BYTES_MAX = 64 * 1024 * 1024;
/** Whoever has not pushed for so long gives way, for no agent samples less often than every minute. */
export const BASIS_MS_MAX = 10 * 60_000;
/** Of a series: its last value, whether a hole came since, its place in the list; of a description: its place. */
const SERIES_BYTES = 17;
const DESCRIPTION_BYTES = 8;
/** Of a basis: its objects. */
const BASIS_BYTES = 1_200;

export type BasesOptions = {
  readonly bytesMax: number;
  readonly now: () => number;
};

/** What the hosts' next batches are told beside (proto/basis.ts), the newest of each host; in memory only. */
export type Bases = {
  readonly find: (host: string) => Basis | null;
  /** Keeps what a batch leaves that was told beside a basis, or, null, in full. False: there is no room for it. */
  readonly keep: (host: string, batch: Batch, beside: Basis | null) => boolean;
  readonly heldBytes: () => number;
};

type Kept = { readonly basis: Basis; readonly keptMs: number };

export function makeBases({ bytesMax, now }: BasesOptions): Bases {
  const kept = new Map<string, Kept>(); // the one that was renewed last is the last
  // Hosts are alike in most of their series, and seldom in the whole list: it grows with what each has seen.
  const series = makePool<Series>();
  const descriptions = makePool<MetricDescription>();
  let basesBytes = 0;
  const heldBytes = (): number => basesBytes + series.heldBytes() + descriptions.heldBytes();

  function put(host: string, basis: Basis): void {
    kept.set(host, { basis, keptMs: now() });
    basesBytes += sizeOf(basis);
  }

  function remove(host: string): Basis | null {
    const found = kept.get(host);
    if (found === undefined) return null;
    kept.delete(host);
    basesBytes -= sizeOf(found.basis);
    return found.basis;
  }

  function drop(host: string): void {
    const basis = remove(host);
    if (basis === null) return;
    series.giveBack(basis.series);
    descriptions.giveBack(basis.described);
  }

  /** In the place of the one before, which has the same lists, as a rule. */
  function replace(host: string, made: Basis): void {
    const before = kept.get(host)?.basis;
    if (before?.series === made.series && before.described === made.described) {
      remove(host);
      put(host, made);
      return;
    }
    const basis = { ...made, series: series.take(made.series), described: descriptions.take(made.described) };
    drop(host);
    put(host, basis);
  }

  return {
    find: (host) => kept.get(host)?.basis ?? null,
    keep: (host, batch, beside) => {
      replace(host, makeBasis(batch, beside, hashBytes));
      for (const [other, { keptMs }] of kept) {
        // Set back, a clock makes them no younger.
        const isFresh = Math.abs(now() - keptMs) < BASIS_MS_MAX;
        if (isFresh || heldBytes() <= bytesMax) break;
        drop(other);
      }
      if (heldBytes() <= bytesMax) return true;
      drop(host);
      return false;
    },
    heldBytes,
  };
}

function sizeOf({ series, described }: Basis): number {
  return BASIS_BYTES + SERIES_BYTES * series.length + DESCRIPTION_BYTES * described.length;
}

function hashBytes(bytes: Uint8Array): Uint8Array {
  return hash('sha256', bytes, 'buffer');
}
