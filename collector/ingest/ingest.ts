import type { LatestValue } from '@muster/proto/api';
import { decodePush, type PushFault } from '@muster/proto/basis';
import type { Inventory } from '@muster/proto/batch';
import type { MetricDescription } from '@muster/proto/custom';
import type { Ack } from '@muster/proto/push';
import { err, ok, type Result } from '@muster/proto/result';

import type { Bases } from './bases.ts';
import type { Buffer, BufferFault } from './buffer.ts';
import type { Arrival } from './columns.ts';
import type { Latest } from './latest.ts';
import { judgeBatch } from './legal.ts';
import type { QuarantineShare } from './quarantine-share.ts';

/**
 * `malformed`: it will never be taken. `rejected`: the store takes others, not this one. `busy`: later. `unknown-basis`:
 * it is wanted in full.
 */
export type IngestFault =
  | { readonly kind: 'malformed' | 'rejected' | 'busy'; readonly message: string }
  | { readonly kind: 'quarantined' | 'unknown-basis' };

/** Whose batch it is: the host, and the hash of the token that it came with. */
export type Sender = { readonly host: string; readonly token: string };

export type IngestOptions = {
  /** Whether a batch of this token and this start of an agent may be taken: not once two machines use one token. */
  readonly admitRun: (token: string, run: number | undefined) => Promise<boolean>;
  readonly bases: Bases;
  readonly latest: Latest;
  readonly buffer: Buffer<Arrival>;
  readonly quarantine: QuarantineShare;
  /** How old a sample may be: as old as samples are kept. */
  readonly pastMsMax: number;
  /** Newer values of a host are known, those given where somebody looks at it; called before they are stored. */
  readonly onValues: (host: string, values: readonly LatestValue[]) => void;
  readonly isShown: (host: string) => boolean;
  /** Takes in what a host says of its custom metrics; rejects with the fault of the store. */
  readonly learnMetrics: (host: string, described: readonly MetricDescription[]) => Promise<void>;
  /** Stores what a host says that it is; rejects with the fault of the store. */
  readonly storeInventory: (host: string, inventory: Inventory) => Promise<void>;
  /** The interval to ask of a host, undefined for its own. */
  readonly everyMs: (host: string) => number | undefined;
  /** How many samples of a batch were set aside, and how far the host's clock is ahead. */
  readonly onQuarantined: (host: string, quarantined: number, clockOffsetMs: number) => void;
  /** What keeps the store from taking anything, and what to do about it; null when nothing is known. */
  readonly fault: () => string | null;
  readonly now: () => number;
};

/**
 * Takes the batch of one host: checks it, shows it, stores it. `body` is inflated and of any origin.
 *
 * Resolves when the batch is in the store, or with the reason why it is not; a malformed batch will never be, a busy
 * store will take it later, and a quarantined host sends in vain until it has enrolled anew. Rejects with the fault of the
 * store when it does not take what the host says that it is, or what its metrics are.
 */
export async function acceptBatch(
  options: IngestOptions,
  { host, token }: Sender,
  body: Uint8Array,
): Promise<Result<Ack, IngestFault>> {
  const nowMs = options.now();
  const decoded = decodePush(body, options.bases.find(host));
  if (!decoded.ok) return err(describePushFault(decoded.error));
  const { batch: told, beside } = decoded.value;
  if (!(await options.admitRun(token, told.run))) return err({ kind: 'quarantined' });
  // Before its values are shown: a counter is no gauge.
  if (told.described !== undefined) await options.learnMetrics(host, told.described);
  const { batch, quarantined, rows } = judgeBatch(
    host,
    told,
    { nowMs, pastMsMax: options.pastMsMax },
    options.quarantine.left(host, nowMs),
  );
  options.quarantine.take(host, rows.length);
  options.onQuarantined(host, quarantined, batch.sentMs - nowMs);
  const isShown = options.isShown(host);
  const values = options.latest.apply(host, batch, nowMs, isShown);
  if (!isShown || values.length > 0) options.onValues(host, values);
  const storing = options.buffer.add({ host, batch, quarantined, rows, receivedMs: nowMs });
  if (batch.info !== undefined) await options.storeInventory(host, batch.info);
  const stored = await storing;
  if (!stored.ok) return err(describeFault(stored.error, options.fault()));
  const everyMs = options.everyMs(host);
  const isKept = told.keep === true && options.bases.keep(host, told, beside);
  const answeredMs = options.now();
  return ok({
    ack: batch.seq,
    ...(everyMs === undefined ? {} : { everyMs }),
    ...(isKept ? { kept: true } : {}),
    nowMs: answeredMs,
    heldMs: Math.max(0, answeredMs - nowMs), // a clock may be set back meanwhile
  });
}

function describePushFault(fault: PushFault): IngestFault {
  return fault.kind === 'malformed' ? { kind: fault.kind, message: `Cannot read the batch: ${fault.reason}` } : fault;
}

const FAULTS: Readonly<Record<BufferFault, string>> = {
  full: 'Cannot take the batch: too much waits for the store; send it again later',
  late: 'Cannot take the batch: the store has been busy with others for too long; send it again later',
  failed: 'Cannot store the batch: the database did not take it; send it again later',
  rejected: 'Cannot store the batch: the database takes others and not this one; the log of the collector says why',
  closed: 'Cannot take the batch: the collector is stopping; send it again later',
};

/** What became of a batch that the buffer did not take; `known` is what is known to be wrong with the store. */
export function describeFault(fault: BufferFault, known: string | null): IngestFault {
  if (fault === 'failed' && known !== null) return { kind: 'busy', message: known };
  return { kind: fault === 'rejected' ? 'rejected' : 'busy', message: FAULTS[fault] };
}
