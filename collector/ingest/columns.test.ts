import { expect, test } from 'vitest';

import { FUTURE_MS_MAX, PAST_MS_MAX } from '@muster/proto/batch';
import type { HostEvent } from '@muster/proto/event';

import { makeEventRows } from './columns.ts';

const NOW_MS = 1_800_000_000_000;
const YEAR_MS = 365 * 86_400_000;

function makeRows(event: HostEvent, receivedMs: number) {
  const batch = { epoch: 1, seq: 1, sentMs: 0, ticksMs: [], series: [], values: new Float64Array(), events: [event] };
  return makeEventRows([{ host: 'web-1', batch, quarantined: 0, rows: [], receivedMs }]);
}

const FULL = { kind: 'gap', fromMs: NOW_MS, toMs: NOW_MS + YEAR_MS, dropped: 3, reason: 'full' } as const;

test.for([
  [{ kind: 'boot', atMs: NOW_MS - YEAR_MS }, NOW_MS - PAST_MS_MAX],
  [{ kind: 'oom-kill', atMs: NOW_MS }, NOW_MS],
  [{ ...FULL, fromMs: NOW_MS + YEAR_MS - 1 }, NOW_MS + FUTURE_MS_MAX],
] as const)('makeEventRows() puts %o at the nearest legal time', ([event, tsMs]) => {
  expect(makeRows(event, NOW_MS)).toMatchObject([{ host: 'web-1', kind: event.kind, tsMs }]);
});

test.for([
  ['the same, told later', FULL, true],
  ['one that begins earlier', { ...FULL, fromMs: NOW_MS - 1 }, false],
  ['one that ends later', { ...FULL, toMs: NOW_MS + YEAR_MS + 1 }, false],
  ['one of another reason', { ...FULL, reason: 'age' }, false],
  ['one of another record', { ...FULL, seq: 2 }, false],
] as const)('makeEventRows() of a gap and %s', ([, other, isSame]) => {
  const [first] = makeRows(FULL, NOW_MS);
  const [second] = makeRows(other, NOW_MS + YEAR_MS);
  expect(first?.body === second?.body).toBe(isSame);
});
