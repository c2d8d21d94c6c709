import type { LatestValue } from '@muster/proto/api';
import { formatLabels } from '@muster/proto/labels';
import { expect, test } from 'vitest';

import { type Check, describeExpiry, listChecks } from './checks.ts';

const AT_MS = 1_000_000;

const latest = (name: string, metric: string, value: number | null, more: Partial<LatestValue> = {}): LatestValue => ({
  metric: `muster.check.${metric}`,
  labels: labelsOf(name),
  tsMs: AT_MS,
  value,
  ...more,
});
const labelsOf = (name: string, more: Readonly<Record<string, string>> = {}): string =>
  formatLabels({ 'check.kind': 'http', 'check.name': name, 'service.name': name, ...more });
const failures = (value: number | null, type: string): LatestValue =>
  latest('a', 'failures', value, { labels: labelsOf('a', { 'error.type': type }) });

const UNKNOWN_CHECK: Check = {
  name: 'a',
  kind: 'http',
  service: '',
  isUp: null,
  reason: '',
  seconds: null,
  expirySeconds: null,
};
const DOWN: Check = { ...UNKNOWN_CHECK, isUp: false };

test.for<readonly [what: string, values: readonly LatestValue[], check: Check]>([
  [
    'up, with its latency in all and its certificate',
    [
      latest('a', 'duration', 0.01, { labels: labelsOf('a', { 'check.phase': 'dns' }) }),
      latest('a', 'up', 1),
      latest('a', 'duration', 0.25),
      latest('a', 'tls.expiry', 86_400),
    ],
    { ...UNKNOWN_CHECK, isUp: true, seconds: 0.25, expirySeconds: 86_400 },
  ],
  [
    'down, without what an earlier run told',
    [latest('a', 'duration', 0.25, { tsMs: AT_MS - 5000 }), latest('a', 'up', 0)],
    DOWN,
  ],
  [
    'down, for the type that rises',
    [latest('a', 'up', 0), latest('a', 'failures', 0.2), failures(0, 'dns'), failures(0.2, 'refused')],
    { ...DOWN, reason: 'refused' },
  ],
  [
    'down, for the type that begins',
    [latest('a', 'up', 0), failures(0, 'dns'), failures(null, 'timeout')],
    { ...DOWN, reason: 'timeout' },
  ],
  ['down, when any may have begun', [latest('a', 'up', 0), failures(null, 'dns'), failures(null, 'timeout')], DOWN],
  [
    'down, for the status of the answer',
    [latest('a', 'up', 0), latest('a', 'http.status_code', 503), failures(1, 'status')],
    { ...DOWN, reason: 'status 503' },
  ],
  ['up, though it failed before', [latest('a', 'up', 1), failures(0, 'dns')], { ...UNKNOWN_CHECK, isUp: true }],
  [
    'known for three of its intervals',
    [latest('a', 'up', 1, { tsMs: AT_MS - 90_000 }), latest('a', 'runs', 1 / 30, { tsMs: AT_MS - 90_000 })],
    { ...UNKNOWN_CHECK, isUp: true },
  ],
  [
    'not known after that',
    [latest('a', 'up', 1, { tsMs: AT_MS - 91_000 }), latest('a', 'runs', 1 / 30, { tsMs: AT_MS - 91_000 })],
    UNKNOWN_CHECK,
  ],
  [
    'known where its interval is not',
    [latest('a', 'up', 1, { tsMs: 0 }), latest('a', 'runs', null, { tsMs: 0 })],
    { ...UNKNOWN_CHECK, isUp: true },
  ],
])('listChecks() says of a check: %s', ([, values, check]) => {
  expect(listChecks(values, AT_MS)).toEqual([check]);
});

test('listChecks() knows nothing of now where the host is not heard', () => {
  expect(listChecks([latest('a', 'up', 1)], Infinity)).toEqual([UNKNOWN_CHECK]);
});

test('listChecks() has those that are down first and those that are up last, and leaves out what is no check', () => {
  const values = [
    latest('b2', 'up', 1),
    latest('b10', 'up', 1),
    latest('c', 'up', null),
    latest('d', 'up', 0),
    latest('e', 'up', 0, { labels: '=' }),
    { ...latest('f', 'up', 0), metric: 'system.memory.usage' },
  ];
  expect(listChecks(values, AT_MS).map(({ name }) => name)).toEqual(['d', 'c', 'b2', 'b10']);
});

test.for([
  [23.5 * 86_400, 'in 23 days'],
  [2 * 86_400, 'in 2 days'],
  [2 * 86_400 - 1, 'in 47 hours'],
  [7199, 'in 119 minutes'],
  [60, 'in 1 minute'],
  [0, 'in 0 minutes'],
  [-1, 'expired 0 minutes ago'],
  [-3 * 86_400, 'expired 3 days ago'],
] as const)('describeExpiry(%i) is %s', ([seconds, words]) => {
  expect(describeExpiry(seconds).replaceAll('\u00a0', ' ')).toBe(words);
});
