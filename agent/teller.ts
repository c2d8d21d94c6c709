import { createHash } from 'node:crypto';

import { encodeBrief, fitToBasis, makeBasis, type Basis } from '@muster/proto/basis';
import { encodeBatch, type Batch } from '@muster/proto/batch';

/** A batch in the bytes in which it goes out, and what it was told beside, if anything. */
export type Telling = { readonly message: Uint8Array; readonly batch: Batch; readonly beside: Basis | null };

/** Tells batches one after the other, each beside what the one before has left with the collector. */
export type Teller = {
  /** As short as can be. */
  readonly tell: (batch: Batch) => Telling;
  /** In full, for a collector that knows of nothing before. */
  readonly tellInFull: (batch: Batch) => Telling;
  /** It has arrived; with `isKept` the collector keeps what it left. */
  readonly settle: (telling: Telling, isKept: boolean) => void;
  /** Nobody knows what has become of the last one: the next is told in full. */
  readonly forget: () => void;
};

export function makeTeller(): Teller {
  let basis: Basis | null = null;
  const tellInFull = (batch: Batch): Telling => ({
    message: encodeBatch({ ...batch, keep: true }),
    batch,
    beside: null,
  });
  return {
    tell: (batch) => {
      const fitted = basis === null ? null : fitToBasis(batch, basis);
      if (basis === null || fitted === null) return tellInFull(batch);
      return { message: encodeBrief(fitted, basis), batch: fitted, beside: basis };
    },
    tellInFull,
    settle: ({ batch, beside }, isKept) => {
      basis = isKept ? makeBasis(batch, beside, hash) : null;
    },
    forget: () => {
      basis = null;
    },
  };
}

function hash(bytes: Uint8Array): Uint8Array {
  return createHash('sha256').update(bytes).digest();
}
