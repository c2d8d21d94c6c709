import { readdirSync } from 'node:fs';

import { SERIES_MAX } from '@muster/proto/batch';
import { expect, test } from 'vitest';

import { drain, gapsOf, makeDirectory, makeTick, openTestSpool } from '../testing/spool.ts';
import { openSpoolFiles, type SpoolFiles } from './files.ts';
import { startHead } from './head.ts';
import { recover } from './recover.ts';
import { openShelf, type Shelf } from './shelf.ts';

/** A shelf on a disk that can be full; a record is large, so that a file holds one of them. */
function openOnDisk(directory: string) {
  const disk = { isFull: false };
  const files = openSpoolFiles(directory, () => undefined);
  const limited: SpoolFiles = {
    ...files,
    append: (records) => {
      if (disk.isFull) throw new Error('ENOSPC: no space left on device');
      return files.append(records);
    },
  };
  const recovery = recover(files.readAll(), files.readHead());
  const shelf = openShelf(limited, { ...recovery, head: recovery.head ?? startHead(7) });
  return { disk, shelf };
}

/** As many values as fill a file, so that the next record goes into another. */
function put(shelf: Shelf, fromMs: number) {
  const series = Array.from({ length: SERIES_MAX }, (_, i) => ['system.cpu.utilization', `cpu=${i}`] as const);
  const ticksMs = Array.from({ length: 8 }, (_, i) => fromMs + i);
  const values = Float64Array.from({ length: SERIES_MAX * 8 }, (_, i) => Math.sin(fromMs + i)); // does not compress
  return shelf.put({ everyMs: 1, ticksMs, series, values });
}

function recordFiles(directory: string): number {
  return readdirSync(directory).filter((name) => name.endsWith('.records')).length;
}

test.for([
  // which of the three records were settled, and given up, while the disk was full; what waits and is told after a kill
  [[0, 1, 2], [], [], 0, 0],
  [[0, 1], [], [3_000], 0, 1],
  [[0], [1], [2_000, 3_000], 0, 2],
  [[1], [], [1_000, 2_000, 3_000], 0, 3],
] as const)(
  'on a full disk, with %o settled and %o given up, a kill leaves %o to be delivered and %i counted as lost',
  ([settled, givenUp, waiting, dropped, files]) => {
    const directory = makeDirectory();
    const { disk, shelf } = openOnDisk(directory);
    const entries = [1_000, 2_000, 3_000].map((tickMs) => {
      const entry = put(shelf, tickMs);
      shelf.write(false);
      return entry;
    });
    disk.isFull = true;
    shelf.settle(entries.filter((_, i) => settled.some((one) => one === i)));
    shelf.remove(entries.filter((_, i) => givenUp.some((one) => one === i)));
    put(shelf, 4_000);
    expect(() => shelf.write(false)).toThrow('ENOSPC');
    expect(recordFiles(directory)).toBe(files);

    const parcels = drain(openTestSpool({ directory, now: () => 4_000 }));
    expect(parcels.flatMap(({ batch }) => batch.ticksMs[0] ?? []).toSorted((a, b) => a - b)).toEqual(waiting);
    expect(gapsOf(parcels).reduce((sum, gap) => sum + gap.dropped, 0)).toBe(dropped);
    expect(gapsOf(parcels)).toMatchObject([{ toMs: 4_000, reason: 'killed' }]);
  },
);

test('what was written once there was room again is found behind what was removed', () => {
  const directory = makeDirectory();
  const { disk, shelf } = openOnDisk(directory);
  const first = put(shelf, 1_000);
  shelf.write(false);
  disk.isFull = true;
  shelf.settle([first]);
  put(shelf, 2_000);
  expect(() => shelf.write(false)).toThrow('ENOSPC');
  disk.isFull = false;
  expect(shelf.write(true)).toBe('written');
  const spool = openTestSpool({ directory });
  spool.add(makeTick(5_000));
  expect(drain(spool).map(({ batch: { seq, ticksMs } }) => [seq, ticksMs[0]])).toEqual([
    [3, 5_000],
    [2, 2_000],
  ]);
});

test('a file that is in the way of the next one is passed over', () => {
  const directory = makeDirectory();
  const { shelf } = openOnDisk(directory);
  const other = openOnDisk(directory).shelf;
  put(other, 1_000);
  other.write(false);
  put(shelf, 2_000);
  expect(() => shelf.write(false)).toThrow('EEXIST');
  expect(shelf.write(false)).toBe('written');
});
