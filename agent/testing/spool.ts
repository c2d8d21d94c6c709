import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Gap } from '@muster/proto/event';
import { onTestFinished } from 'vitest';

import type { Tick } from '../sampler.ts';
import type { Sample } from '../source.ts';
import { openSpool, type Parcel, type Spool, type SpoolOptions } from '../spool/spool.ts';
import { makeEvents } from './events.ts';

/** Where a spool of the test that runs can be; it is removed when the test is over. */
export function makeDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'muster-spool-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  return join(directory, 'spool');
}

export function makeTick(tsMs: number, count = 2, everyMs = 1_000): Tick {
  const samples = Array.from({ length: count }, (_, i): Sample => ({
    metric: 'system.cpu.utilization',
    labels: `cpu=${i}`,
    value: Math.sin(tsMs * (i + 1)), // does not compress
  }));
  return { tsMs, everyMs, samples };
}

/** A spool without limits whose clock stands at 0, and the events of its log. */
export function openTestSpool(
  options: Partial<SpoolOptions> = {},
): Spool & { readonly logged: () => readonly string[] } {
  const events = makeEvents();
  const spool = openSpool({
    directory: options.directory ?? makeDirectory(),
    bytesMax: 1e9,
    memoryBytesMax: 1e9,
    ageMsMax: 1e9,
    epoch: 7,
    log: events.log,
    now: () => 0,
    ...options,
  });
  return { ...spool, logged: () => events.names() };
}

/** Puts one record on the disk for each list of ticks. */
export function fill(spool: Spool, records: readonly (readonly Tick[])[]): void {
  for (const ticks of records) {
    for (const tick of ticks) spool.add(tick);
    spool.flush();
  }
}

/** Everything that waits, one record each, in the order of handing out. */
export function drain(spool: Spool, ticksMax = 1): Parcel[] {
  const newest = spool.takeNewest();
  const parcels = newest === null ? [] : [newest];
  for (let next = spool.takeOldest(ticksMax); next !== null; next = spool.takeOldest(ticksMax)) parcels.push(next);
  return parcels;
}

export function gapsOf(parcels: readonly Parcel[]): readonly Gap[] {
  return parcels.flatMap(({ batch }) => (batch.events ?? []).filter((event) => event.kind === 'gap'));
}

export function countSent(parcels: readonly Parcel[]): number {
  return parcels.reduce((sum, { batch }) => sum + batch.values.filter((value) => !Number.isNaN(value)).length, 0);
}
