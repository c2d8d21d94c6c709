import { expect, test } from 'vitest';

import type { Incident } from '../simulate/world.ts';
import { scoreClaims, type Claim, type Truth } from './score.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY = { fromMs: 0, toMs: 24 * HOUR_MS };

const INCIDENT: Incident = {
  id: '1',
  scenario: 'memory-leak',
  fromMs: 2 * HOUR_MS,
  toMs: 4 * HOUR_MS,
  hosts: ['a'],
  services: [],
  containers: [],
  seenOn: ['a'],
  metrics: ['system.memory.utilization'],
  endsMs: null,
};

function make(...changes: readonly Partial<Incident>[]): Truth {
  return { hosts: 10, fromMs: 0, liveMs: 0, incidents: changes.map((change) => Object.assign({}, INCIDENT, change)) };
}

function claim(kind: string, host: string, atMs: number, more: Partial<Claim> = {}): Claim {
  return { kind, host, subject: null, fromMs: atMs, toMs: atMs, saidMs: atMs, endsMs: null, ...more };
}

test('what is said of a host while something befalls it is right, and found so long after it began', () => {
  const said = [claim('oom-kill', 'a', 3 * HOUR_MS), claim('oom-kill', 'b', 3 * HOUR_MS)];
  expect(scoreClaims(make({}), said, DAY)).toEqual({
    scenarios: [{ scenario: 'memory-leak', incidents: 1, found: 1, detectMs: [HOUR_MS], endMs: [] }],
    kinds: [{ kind: 'oom-kill', claims: 2, right: 1 }],
    precision: 0.5,
    recall: 1,
    falsePerHostDay: 0.1,
  });
});

test.for([
  ['before it', claim('oom-kill', 'a', HOUR_MS), 0],
  ['soon after it', claim('oom-kill', 'a', 4 * HOUR_MS + MINUTE_MS), 1],
  ['long after it', claim('oom-kill', 'a', 5 * HOUR_MS), 0],
  ['from before it until it', claim('oom-kill', 'a', HOUR_MS, { toMs: 3 * HOUR_MS }), 1],
  ['of another kind', claim('silent', 'a', 3 * HOUR_MS), 0],
  ['of a kind that can be of anything', claim('anomaly', 'a', 3 * HOUR_MS), 1],
] as const)('a claim %s counts for it or not', ([, said, found]) => {
  expect(scoreClaims(make({}), [said], DAY).recall).toBe(found);
});

test('what befalls a service or a container is told of it, wherever', () => {
  const truth = make({ scenario: 'restart-loop', hosts: [], containers: ['mail'], seenOn: ['a'] });
  const said = (subject: string | null): number =>
    scoreClaims(truth, [claim('container-died', 'a', 3 * HOUR_MS, { subject })], DAY).recall;
  expect([said('mail'), said('web'), said(null)]).toEqual([1, 0, 1]);
});

test('what is said again within ten minutes is said once, and what nobody is to be told of is false', () => {
  const again = [0, 5, 12, 40].map((minutes) => claim('oom-kill', 'b', HOUR_MS + minutes * MINUTE_MS));
  expect(scoreClaims(make(), again, DAY)).toMatchObject({
    kinds: [{ kind: 'oom-kill', claims: 2, right: 0 }],
    recall: NaN,
  });
  expect(scoreClaims(make({ metrics: [] }), [claim('anomaly', 'a', 3 * HOUR_MS)], DAY)).toMatchObject({
    precision: 0,
    scenarios: [],
  });
});

test('what was to come is not missed, and a forecast says by how much it was off', () => {
  const truth = make({ endsMs: 6 * HOUR_MS }, { fromMs: 30 * HOUR_MS, toMs: 40 * HOUR_MS });
  const said = [claim('forecast', 'a', 3 * HOUR_MS, { endsMs: 7 * HOUR_MS })];
  expect(scoreClaims(truth, said, DAY).scenarios).toEqual([
    { scenario: 'memory-leak', incidents: 1, found: 1, detectMs: [HOUR_MS], endMs: [HOUR_MS] },
  ]);
});
