import { zstdDecompressSync } from 'node:zlib';

import { countSamples, decodeBatch, encodeBatch, type Batch } from '@muster/proto/batch';
import { INFLATED_BYTES_MAX } from '@muster/proto/push';
import { err, ok, type Result } from '@muster/proto/result';

import { codeOf } from '../code-of.ts';
import { compress } from '../compress.ts';
import { FILE_BYTES } from './appender.ts';
import type { SpoolFiles } from './files.ts';
import type { Head } from './head.ts';
import { decodeRecord, encodeRecord, encodeSettled, type Header, type Settled } from './record.ts';
import type { Place, Recovery } from './recover.ts';

/** A batch as it waits; when it was sent, and by which run of the agent, is known only when it goes out. */
export type WaitingBatch = Omit<Batch, 'sentMs' | 'run'>;

/** One record that is not in the store yet. */
export type Entry = {
  readonly header: Header;
  /** The record until it is on the disk, and where it is then; one of the two is null. */
  encoded: Buffer | null;
  place: Place | null;
  /** `out`: it was handed out. `refused`: for good, but what it leaves to be told is not written yet. */
  state: 'waiting' | 'out' | 'refused';
  /** 0, or its turn among those that come last because the collector failed on them. */
  turn: number;
  /** It was refused together with others, and goes alone, so that they do not suffer for it. */
  isAlone: boolean;
};

/** It is not there any more as it was written, or it cannot be read now. */
export type ReadFault = 'damaged' | 'unreadable';

/** The records that are not in the store yet, oldest first: their headers in memory, their content on the disk. */
export type Shelf = {
  readonly entries: readonly Entry[];
  /** Puts a batch behind the others, in memory until the next `write`. */
  readonly put: (batch: Omit<WaitingBatch, 'epoch' | 'seq'>) => Entry;
  readonly read: (entry: Entry) => Result<WaitingBatch, ReadFault>;
  /** They are in the store: they wait no longer, and the next write says so. */
  readonly settle: (entries: readonly Entry[]) => void;
  /** They were given up, which is told by what is put: they wait no longer, and one write says both. */
  readonly remove: (entries: readonly Entry[]) => void;
  /** Puts all that is new on the disk, if anything. Throws when some could not be put there, and keeps that. */
  readonly write: (isClosed: boolean) => 'written' | 'nothing-new';
  readonly unwritten: () => readonly Entry[];
};

/** What was found, and where to go on. */
export type Beginning = Recovery & { readonly head: Head };

export function openShelf(files: SpoolFiles, recovery: Beginning): Shelf {
  const entries = recovery.waiting.map(({ header, place }) => makeEntry(header, null, place));
  const head = { ...recovery.head };
  const settled = makeSettled(entries, head);
  for (const lost of recovery.lost) settled.add(lost.epoch, lost.settled);
  let newest: { readonly entry: Entry; readonly batch: WaitingBatch } | null = null;
  let unwritten: readonly Entry[] = [];
  /** Given up since the last write: what tells so is not on the disk yet. */
  let untold: readonly Entry[] = [];
  /** As the head would be if nothing came behind what is on the disk. */
  let written: Head = { ...head };

  function take(gone: readonly Entry[]): void {
    for (const entry of gone) {
      entries.splice(entries.indexOf(entry), 1);
      settled.add(entry.header.epoch, [[entry.header.seq, entry.header.samples]]);
    }
    unwritten = unwritten.filter((entry) => !gone.includes(entry));
  }

  function append(): void {
    do {
      const some = takeSome(unwritten);
      const isLast = some.length === unwritten.length;
      // What a gap tells of does not wait any longer: the two are written in one, or none of them.
      const records = [...some.map(({ encoded }) => encoded ?? NOTHING), ...(isLast ? settled.encode() : [])];
      const places = records.length === 0 ? [] : files.append(records);
      for (const [i, entry] of some.entries()) Object.assign(entry, { place: places[i], encoded: null });
      for (const { header } of some) written = endAt(written, header);
      unwritten = unwritten.slice(some.length);
    } while (unwritten.length > 0);
  }

  return {
    entries,
    put: (unnamed) => {
      const batch = { ...unnamed, epoch: head.epoch, seq: head.seq + 1 };
      const header = makeHeader(batch, head.taken, findFloor(entries, head, head.epoch));
      Object.assign(head, { seq: header.seq, taken: header.taken });
      if (header.toMs > 0) Object.assign(head, { lastMs: header.toMs, everyMs: header.everyMs });
      const entry = makeEntry(header, encodeRecord(header, compress(encodeBatch({ ...batch, sentMs: 0 }))), null);
      entries.push(entry);
      unwritten = [...unwritten, entry];
      newest = { entry, batch };
      return entry;
    },
    read: (entry) => (newest?.entry === entry ? ok(newest.batch) : readEntry(files, entry)),
    settle: take,
    remove: (gone) => {
      take(gone);
      untold = [...untold, ...gone];
    },
    write: (isClosed) => {
      if (unwritten.length === 0 && head.isClosed === isClosed) return 'nothing-new';
      try {
        append();
      } catch (cause) {
        makeRoom(files, [...untold, ...entries], written);
        throw cause;
      }
      untold = [];
      settled.thin();
      head.isClosed = isClosed;
      files.writeHead({ ...head, ...findFloor(entries, head, head.epoch) });
      files.removeBefore(entries.find(({ place }) => place !== null)?.place?.file ?? Infinity);
      return 'written';
    },
    unwritten: () => unwritten,
  };
}

const NOTHING = Buffer.alloc(0);
const NO_TICKS = { seq: 0, samples: 0, taken: 0, fromMs: 0, toMs: 0, everyMs: 0, floor: 0, floorTaken: 0 } as const;

function endAt(head: Head, { seq, taken, toMs, everyMs }: Header): Head {
  return { ...head, seq, taken, ...(toMs === 0 ? {} : { lastMs: toMs, everyMs }) };
}

/**
 * Gives back what no record that is still needed lies in, though nothing more can be written: else a disk that the
 * spool itself has filled would stay full. The head, which needs no room, says first that all before is done.
 */
function makeRoom(files: SpoolFiles, needed: readonly Entry[], head: Head): void {
  const [first] = needed
    .filter(({ place }) => place !== null)
    .toSorted((a, b) => (a.place?.file ?? 0) - (b.place?.file ?? 0) || (a.place?.at ?? 0) - (b.place?.at ?? 0));
  // Of an older spool the head says nothing.
  if (first !== undefined && first.header.epoch !== head.epoch) return;
  try {
    files.writeHead({ ...head, ...findFloor(first === undefined ? [] : [first], head, head.epoch) });
    if (first === undefined) files.removeAll();
    else files.removeBefore(first.place?.file ?? 0);
  } catch {
    // What kept the records from being written is the fault worth reporting.
  }
}

type End = { readonly epoch: number; readonly seq: number; readonly taken: number };

/** The first record of an epoch that still waits; of the present one, the one to come where none does. */
function findFloor(entries: readonly Entry[], end: End, epoch: number): Pick<Header, 'floor' | 'floorTaken'> {
  const first = entries.find(({ header }) => header.epoch === epoch)?.header;
  if (first !== undefined) return { floor: first.seq, floorTaken: first.taken - first.samples };
  return epoch === end.epoch ? { floor: end.seq + 1, floorTaken: end.taken } : { floor: 0, floorTaken: 0 };
}

/** So many of what is settled are told with every write, and not once only: one that is damaged leaves others. */
const SETTLED_MAX = 256;

/** Which records wait no longer, by epoch, until the floor has passed them. */
function makeSettled(entries: readonly Entry[], end: End) {
  const byEpoch = new Map<number, Settled>();
  return {
    add: (epoch: number, pairs: Settled): void => {
      byEpoch.set(epoch, [...(byEpoch.get(epoch) ?? []), ...pairs]);
    },
    /** As records of their own. */
    encode: (): Buffer[] =>
      [...byEpoch].flatMap(([epoch, pairs]) => {
        const floor = findFloor(entries, end, epoch);
        const open = pairs.filter(([seq]) => seq >= floor.floor);
        byEpoch.set(epoch, open);
        const { seq, taken } = epoch === end.epoch ? end : NO_TICKS;
        const header = { ...NO_TICKS, kind: 'settled', epoch, seq, taken, ...floor } as const;
        return open.length === 0 ? [] : [encodeRecord(header, encodeSettled(open))];
      }),
    /** They are written: the newest are told again, the others not. */
    thin: (): void => {
      for (const [epoch, pairs] of byEpoch) byEpoch.set(epoch, pairs.slice(-SETTLED_MAX));
    },
  };
}

function makeEntry(header: Header, encoded: Buffer | null, place: Place | null): Entry {
  return { header, encoded, place, state: 'waiting', turn: 0, isAlone: false };
}

function makeHeader(batch: WaitingBatch, takenBefore: number, floor: Pick<Header, 'floor' | 'floorTaken'>): Header {
  const { epoch, seq, ticksMs, everyMs = 0 } = batch;
  const samples = countSamples(batch);
  const [fromMs = 0] = ticksMs;
  const taken = takenBefore + samples;
  return { kind: 'batch', epoch, seq, samples, everyMs, taken, fromMs, toMs: ticksMs.at(-1) ?? 0, ...floor };
}

/** As many entries as fill one file; at least one of those there are. */
function takeSome(entries: readonly Entry[]): readonly Entry[] {
  let bytes = 0;
  const end = entries.findIndex(({ encoded }) => (bytes += encoded?.byteLength ?? 0) > FILE_BYTES);
  return end === -1 ? entries : entries.slice(0, Math.max(1, end));
}

/** What it says of when it was sent is what `put` wrote there: nothing. */
function readEntry(files: SpoolFiles, { header, encoded, place }: Entry): Result<WaitingBatch, ReadFault> {
  const bytes = encoded ?? (place === null ? NOTHING : readBytes(files, place));
  if (bytes === null) return err('unreadable');
  const found = decodeRecord(bytes, 0);
  if (found === null || found.payload === null || found.header.seq !== header.seq) return err('damaged');
  try {
    const batch = decodeBatch(zstdDecompressSync(found.payload, { maxOutputLength: INFLATED_BYTES_MAX }));
    return batch.ok ? batch : err('damaged');
  } catch {
    return err('damaged');
  }
}

/** null: not now, for want of a descriptor or because the disk does not answer. What is not there any more is empty. */
function readBytes(files: SpoolFiles, place: Place): Buffer | null {
  try {
    return files.read(place);
  } catch (cause) {
    return codeOf(cause) === 'ENOENT' ? NOTHING : null;
  }
}
