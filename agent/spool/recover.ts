import type { Gap } from '@muster/proto/event';

import type { Head } from './head.ts';
import { decodeSettled, type Found, type Header, type Settled } from './record.ts';

/** Where a record lies. Files are numbered in the order in which they were begun. */
export type Place = { readonly file: number; readonly at: number; readonly bytes: number };

/** Samples that were written and are not there any more: which records held them, and what to tell about them. */
export type Lost = { readonly epoch: number; readonly settled: Settled; readonly gap: Gap };

export type Recovery = {
  /** What waits, in the order in which it was written. */
  readonly waiting: readonly { readonly header: Header; readonly place: Place }[];
  readonly lost: readonly Lost[];
  /** Where to go on, null when the head file does not say. */
  readonly head: Head | null;
};

type Epoch = {
  readonly intact: Map<number, { readonly header: Header; readonly place: Place }>;
  readonly settled: Map<number, number>;
  seq: number;
  taken: number;
  floor: number;
  floorTaken: number;
  lastMs: number;
};

/**
 * Finds out what the files of a spool, in whatever state they are, still hold, what waits of that, and exactly how many
 * samples are missing: every header says how many were taken up to it, and the head how many in all.
 *
 * Exact as long as one of the head's two copies is intact; without it, what was written last and is gone is not known.
 */
export function recover(
  files: Iterable<readonly [file: number, records: readonly Found[]]>,
  head: Head | null,
): Recovery {
  const epochs = new Map<number, Epoch>();
  if (head !== null) raise(epochOf(epochs, head.epoch), { ...head, toMs: head.lastMs });
  for (const [file, records] of files) for (const found of records) collect(epochs, file, found);
  const current = head === null ? undefined : epochs.get(head.epoch);
  return {
    waiting: [...epochs.values()]
      .flatMap(({ intact, settled, floor }) =>
        [...intact.values()].filter(({ header: { seq } }) => seq >= floor && !settled.has(seq)),
      )
      .toSorted((a, b) => a.place.file - b.place.file || a.place.at - b.place.at),
    lost: [...epochs].flatMap(([epoch, facts]) => findLost(epoch, facts)),
    head: head === null || current === undefined ? null : { ...head, ...current },
  };
}

function epochOf(epochs: Map<number, Epoch>, epoch: number): Epoch {
  const known = epochs.get(epoch) ?? {
    intact: new Map(),
    settled: new Map(),
    seq: 0,
    taken: 0,
    floor: 0,
    floorTaken: 0,
    lastMs: 0,
  };
  epochs.set(epoch, known);
  return known;
}

function raise(epoch: Epoch, facts: Pick<Header, 'seq' | 'taken' | 'floor' | 'floorTaken' | 'toMs'>): void {
  epoch.seq = Math.max(epoch.seq, facts.seq);
  epoch.taken = Math.max(epoch.taken, facts.taken);
  epoch.floor = Math.max(epoch.floor, facts.floor);
  epoch.floorTaken = Math.max(epoch.floorTaken, facts.floorTaken);
  epoch.lastMs = Math.max(epoch.lastMs, facts.toMs);
}

function collect(epochs: Map<number, Epoch>, file: number, { header, payload, at, bytes }: Found): void {
  const epoch = epochOf(epochs, header.epoch);
  raise(epoch, header);
  if (payload === null) return;
  if (header.kind === 'batch') epoch.intact.set(header.seq, { header, place: { file, at, bytes } });
  else for (const [seq, samples] of decodeSettled(payload)) epoch.settled.set(seq, samples);
}

/** Each run of records that are neither there nor settled, with the samples that they held. */
function findLost(epoch: number, { intact, settled, seq, taken, floor, floorTaken, lastMs }: Epoch): Lost[] {
  const lost: Lost[] = [];
  let before = { seq: floor - 1, taken: floorTaken, nextMs: 0 };
  const look = (next: { readonly seq: number; readonly taken: number; readonly beforeMs: number }): void => {
    const missing = Array.from({ length: next.seq - before.seq - 1 }, (_, i) => before.seq + 1 + i);
    const open = missing.filter((one) => !settled.has(one));
    const dropped = missing.reduce((rest, one) => rest - (settled.get(one) ?? 0), next.taken - before.taken);
    if (dropped <= 0 || open.length === 0) return;
    const fromMs = before.nextMs === 0 ? next.beforeMs : before.nextMs;
    lost.push({
      epoch,
      settled: open.map((one, i) => [one, i === 0 ? dropped : 0] as const),
      gap: {
        kind: 'gap',
        fromMs,
        toMs: Math.max(fromMs, next.beforeMs),
        dropped,
        reason: 'damaged',
        seq: open[0] ?? 0,
      },
    });
  };
  for (const { header } of [...intact.values()].toSorted((a, b) => a.header.seq - b.header.seq)) {
    if (header.seq < floor) continue;
    const { fromMs, toMs, everyMs } = header;
    look({
      seq: header.seq,
      taken: header.taken - header.samples,
      beforeMs: fromMs === 0 ? before.nextMs : fromMs - everyMs,
    });
    before = { seq: header.seq, taken: header.taken, nextMs: toMs === 0 ? before.nextMs : toMs + everyMs };
  }
  look({ seq: seq + 1, taken, beforeMs: lastMs });
  return lost;
}
