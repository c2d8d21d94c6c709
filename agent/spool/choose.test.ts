import { SERIES_MAX } from '@muster/proto/batch';
import { expect, test } from 'vitest';

import { chooseFirst } from './choose.ts';
import type { Entry } from './shelf.ts';

/** A record of one tick that waits on the disk. */
function makeEntry(seq: number, toMs: number, samples: number): Entry {
  const header = { kind: 'batch', epoch: 1, seq, samples, everyMs: 1_000, taken: 0, floor: 1, floorTaken: 0 } as const;
  return {
    header: { ...header, fromMs: toMs, toMs },
    encoded: null,
    place: { file: 1, at: 0, bytes: 1 },
    state: 'waiting',
    turn: 0,
    isAlone: false,
  };
}

test.for([
  // how far apart 200 records are, samples of each, how many may travel together
  [1_000, 75, 120], // as many ticks as are asked for
  [1_000, 2_000, 61], // as many as fit into a batch
  [0, SERIES_MAX / 2, 1], // two halves of one tick do not travel together
] as const)('of records %i ms apart with %i samples each, %i are read for a parcel', ([apartMs, samples, count]) => {
  const entries = Array.from({ length: 200 }, (_, i) => makeEntry(i + 1, 1_000 + i * apartMs, samples));
  expect(chooseFirst(entries, 120)).toHaveLength(count);
});
