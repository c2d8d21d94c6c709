import { createHash } from 'node:crypto';

import { makeBasis, type Basis } from '@muster/proto/basis';
import type { Batch } from '@muster/proto/batch';

/** What is kept of all hosts together: 10,000 of 100 series take a third. */
export const BASES_BYTES_MAX = 64 * 1024 * 1024;
/** Whoever has not pushed for so long gives way, for no agent samples less often than every minute. */
export const BASIS_MS_MAX = 10 * 60_000;
/** Lists of series that differ are few where hosts are alike; beyond so many they are looked for anew. */
const LISTS_MAX = 1_000;
/** Of a series: its last value, whether a hole came since, its place in the list. Its texts are in memory anyway. */
const SERIES_BYTES = 17;
/** Of a basis: its objects. */
const BASIS_BYTES = 500;

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

type Lists = Pick<Basis, 'series' | 'described'>;
type Kept = { readonly basis: Basis; readonly keptMs: number };

export function makeBases({ bytesMax, now }: BasesOptions): Bases {
  const kept = new Map<string, Kept>(); // the one that was renewed last is the last
  const lists = new Map<string, Lists>();
  let heldBytes = 0;

  function remove(host: string): void {
    const found = kept.get(host);
    if (found === undefined) return;
    kept.delete(host);
    heldBytes -= sizeOf(found.basis);
  }

  /** Hosts that are alike share their lists. */
  function share(basis: Basis): Basis {
    const id = Buffer.from(basis.seriesId).toString('latin1');
    const { series, described } = lists.get(id) ?? basis;
    if (lists.size >= LISTS_MAX) lists.clear();
    lists.set(id, { series, described });
    return { ...basis, series, described };
  }

  return {
    find: (host) => kept.get(host)?.basis ?? null,
    keep: (host, batch, beside) => {
      const made = makeBasis(batch, beside, hash);
      const basis = made.seriesId === beside?.seriesId ? made : share(made);
      remove(host);
      for (const [other, { keptMs }] of kept) {
        // Set back, a clock makes them no younger.
        const isFresh = Math.abs(now() - keptMs) < BASIS_MS_MAX;
        if (isFresh || heldBytes + sizeOf(basis) <= bytesMax) break;
        remove(other);
      }
      if (heldBytes + sizeOf(basis) > bytesMax) return false;
      kept.set(host, { basis, keptMs: now() });
      heldBytes += sizeOf(basis);
      return true;
    },
    heldBytes: () => heldBytes,
  };
}

function sizeOf({ series }: Basis): number {
  return BASIS_BYTES + SERIES_BYTES * series.length;
}

function hash(bytes: Uint8Array): Uint8Array {
  return createHash('sha256').update(bytes).digest();
}
