import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { countSamples } from '@muster/proto/batch';
import { makeLog } from '@muster/proto/log';

import { decodeHead } from '../spool/head.ts';
import { decodeSettled, findRecords } from '../spool/record.ts';
import { openSpool, type Parcel, type Spool } from '../spool/spool.ts';

/**
 * What became of one spool whose files were damaged. `lost`: samples of records that the damage hit; `counted`: those
 * that the spool said were lost. `wrong`: records delivered that were never written, or not as they were.
 */
export type DamageResult = {
  readonly written: number;
  readonly hit: number;
  readonly intactNotDelivered: number;
  readonly wrong: number;
  readonly lost: number;
  readonly counted: number;
  /**
   * Damage hit a record and also what says how many samples it held, the head, or that it was settled: the count may be
   * off.
   */
  readonly isBlind: boolean;
};

/** Fills a spool, kills it, flips bits in its files or tears off their ends, and opens it again. `random` is 0 to 1. */
export function damageSpool(random: () => number): DamageResult {
  const parent = mkdtempSync(join(tmpdir(), 'muster-damage-'));
  try {
    const { directory, written } = fillSpool(parent, random);
    const before = readFiles(directory);
    damageFiles(directory, random);
    return compare({ directory, written, before, after: readFiles(directory) });
  } finally {
    rmSync(parent, { recursive: true });
  }
}

/** What each record said, by its `seq`. */
type Written = ReadonlyMap<number, { readonly text: string; readonly samples: number; readonly isSettled: boolean }>;
type Files = ReadonlyMap<string, Buffer>;

function open(directory: string, epoch = 7): Spool {
  const log = makeLog(() => undefined, Date.now);
  const limits = { bytesMax: 1e9, memoryBytesMax: 1e9, ageMsMax: 1e9 };
  return openSpool({ directory, ...limits, epoch, log, now: () => 0 });
}

/** Some records in one or two files, the second as after a kill; some of them settled, and known to be. */
function fillSpool(parent: string, random: () => number): { readonly directory: string; readonly written: Written } {
  const written = new Map<number, { text: string; samples: number; isSettled: boolean }>();
  const clock = { tickMs: 0 };
  let directory = join(parent, 'spool');
  for (let life = 0; life < 1 + Math.floor(2 * random()); life += 1) {
    const spool = open(directory);
    for (let record = 0; record < 3 + Math.floor(12 * random()); record += 1) {
      const parcel = putRecord(spool, clock, random);
      const isSettled = random() < 0.1;
      written.set(parcel.batch.seq, { text: textOf(parcel), samples: countSamples(parcel.batch), isSettled });
      if (isSettled) spool.settle(parcel);
      else spool.release(parcel);
    }
    // One more, so that what was settled is on the disk.
    const last = putRecord(spool, clock, random);
    written.set(last.batch.seq, { text: textOf(last), samples: countSamples(last.batch), isSettled: false });
    // What a killed process leaves, without its open files.
    const left = `${directory}-left`;
    cpSync(directory, left, { recursive: true });
    spool.close();
    directory = left;
  }
  return { directory, written };
}

/** Flushes one to three ticks of one to eight series, and hands them out. */
function putRecord(spool: Spool, clock: { tickMs: number }, random: () => number): Parcel {
  for (let tick = 0; tick < 1 + Math.floor(3 * random()); tick += 1) {
    const samples = Array.from({ length: 1 + Math.floor(8 * random()) }, (_, i) => ({
      metric: 'system.cpu.utilization' as const,
      labels: `cpu=${i}`,
      value: random(),
    }));
    clock.tickMs += 1_000;
    spool.add({ tsMs: clock.tickMs, everyMs: 1_000, samples });
  }
  const parcel = spool.takeNewest();
  if (parcel === null) throw new Error('The spool does not hand out what was put into it');
  return parcel;
}

function damageFiles(directory: string, random: () => number): void {
  const names = readdirSync(directory);
  const records = names.filter((name) => name.endsWith('.records')).toSorted();
  for (let flip = 0; flip < 1 + Math.floor(6 * random()); flip += 1) {
    flipBit(join(directory, records[Math.floor(records.length * random())] ?? ''), random);
  }
  const torn = join(directory, records.at(-1) ?? '');
  if (random() < 0.5) {
    const bytes = readFileSync(torn);
    writeFileSync(torn, bytes.subarray(0, Math.floor(bytes.byteLength * random())));
  }
  if (random() < 0.1) {
    for (let flip = 0; flip < 1 + Math.floor(2 * random()); flip += 1) flipBit(join(directory, 'head'), random);
  }
}

function flipBit(path: string, random: () => number): void {
  const bytes = readFileSync(path);
  const at = Math.floor(bytes.byteLength * random());
  bytes[at] = (bytes[at] ?? 0) ^ (1 << Math.floor(8 * random()));
  writeFileSync(path, bytes);
}

const NOTHING = Buffer.alloc(0);

type Scene = { readonly directory: string; readonly written: Written; readonly before: Files; readonly after: Files };

function compare({ directory, written, before, after }: Scene): DamageResult {
  const hit = new Set<number>();
  const knownSettled = new Set<number>();
  let floor = 0;
  for (const [name, bytes] of before) {
    for (const { header, payload, at, bytes: length } of name === 'head' ? [] : findRecords(bytes)) {
      const isHit = !bytes.subarray(at, at + length).equals(after.get(name)?.subarray(at, at + length) ?? NOTHING);
      if (isHit && header.kind === 'batch') hit.add(header.seq);
      if (!isHit) floor = Math.max(floor, header.floor);
      if (!isHit && header.kind === 'settled') {
        for (const [seq] of decodeSettled(payload ?? NOTHING)) knownSettled.add(seq);
      }
    }
  }
  const head = decodeHead(after.get('head') ?? NOTHING);
  const isEndUnknown = head === null && hit.has(Math.max(...written.keys()));
  const isSettlementUnknown = [...written].some(
    ([seq, { isSettled }]) =>
      isSettled && hit.has(seq) && seq >= Math.max(floor, head?.floor ?? 0) && !knownSettled.has(seq),
  );
  const spool = open(directory, 8);
  const parcels: Parcel[] = [];
  for (let next = spool.takeOldest(1); next !== null; next = spool.takeOldest(1)) parcels.push(next);
  const delivered = new Set(parcels.filter(({ batch }) => batch.ticksMs.length > 0).map(({ batch }) => batch.seq));
  const gaps = parcels.flatMap(({ batch }) => (batch.events ?? []).filter((event) => event.kind === 'gap'));
  const waiting = [...written].filter(([, { isSettled }]) => !isSettled);
  spool.close();
  return {
    written: written.size,
    hit: hit.size,
    intactNotDelivered: waiting.filter(([seq]) => !hit.has(seq) && !delivered.has(seq)).length,
    wrong: parcels.filter((parcel) => isWrong(parcel, written)).length,
    lost: waiting.filter(([seq]) => hit.has(seq)).reduce((sum, [, { samples }]) => sum + samples, 0),
    counted: gaps.reduce((sum, { dropped }) => sum + dropped, 0),
    isBlind: isEndUnknown || isSettlementUnknown,
  };
}

function isWrong(parcel: Parcel, written: Written): boolean {
  return parcel.batch.ticksMs.length > 0 && written.get(parcel.batch.seq)?.text !== textOf(parcel);
}

function textOf({ batch: { ticksMs, series, values } }: Parcel): string {
  return JSON.stringify([ticksMs, series, [...values]]);
}

function readFiles(directory: string): Files {
  return new Map(readdirSync(directory).map((name) => [name, readFileSync(join(directory, name))] as const));
}
