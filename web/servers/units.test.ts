import type { LatestValue } from '@muster/proto/api';
import { formatLabels } from '@muster/proto/labels';
import { expect, test } from 'vitest';

import { readUnits, type Units } from './units.ts';

const AT_MS = 1_000_000;
const HOSTILE = '<img src=x>.service';

const count = (state: string, value: number): LatestValue => ({
  metric: 'systemd.unit.count',
  labels: formatLabels({ 'systemd.unit.active_state': state }),
  tsMs: AT_MS,
  value,
});
const state = (name: string, word: string, value: number, tsMs = AT_MS): LatestValue => ({
  metric: 'systemd.unit.state',
  labels: formatLabels({ 'systemd.unit.active_state': word, 'systemd.unit.name': name }),
  tsMs,
  value,
});
const restarts = (name: string, value: number | null): LatestValue => ({
  metric: 'systemd.service.restarts',
  labels: formatLabels({ 'systemd.unit.name': name }),
  tsMs: AT_MS,
  value,
});

const SOME = [count('inactive', 1234), count('failed', 1), count('active', 5), count('reloading', 0)];
const FAILED = { name: HOSTILE, state: 'failed', restartsPerSecond: null };

test.for<readonly [what: string, values: readonly LatestValue[], atMs: number, units: Units]>([
  ['nothing where nothing is told', [], AT_MS, { summary: '', troubled: [] }],
  ['how many there are', SOME, AT_MS, { summary: '5 active, 1 failed, 1,234 inactive', troubled: [] }],
  [
    'those that failed, then those that are started again',
    [
      ...SOME,
      restarts('a', 0.5),
      state('a', 'activating', 1),
      state('a', 'active', 0),
      state(HOSTILE, 'active', 0),
      state(HOSTILE, 'failed', 1),
      state('quiet', 'active', 1),
      state('quiet', 'failed', 0),
      restarts('quiet', 0),
      restarts('new', null),
    ],
    AT_MS,
    {
      summary: '5 active, 1 failed, 1,234 inactive',
      troubled: [FAILED, { name: 'a', state: 'activating', restartsPerSecond: 0.5 }],
    },
  ],
  [
    'nothing of a unit that is not there any more',
    [...SOME, state('gone', 'failed', 1, AT_MS - 30_000)],
    AT_MS,
    { summary: '5 active, 1 failed, 1,234 inactive', troubled: [] },
  ],
  [
    'nothing of now where the host is not heard',
    [...SOME, state(HOSTILE, 'failed', 1)],
    Infinity,
    { summary: '– active, – failed', troubled: [] },
  ],
])('readUnits() says %s', ([, values, atMs, units]) => {
  expect(readUnits(values, atMs)).toEqual(units);
});
