import { expect, test } from 'vitest';

import type { EngineEvent } from './answers.ts';
import { makeMoments } from './moments.ts';

const MINUTE_MS = 60_000;
let keys = 0;

function event(kind: EngineEvent['kind'], code: number | null, atMs = 0, name = 'web'): EngineEvent {
  keys += 1;
  return { kind, id: name, name, code, atMs, key: `${keys}` };
}

function tell(...events: readonly EngineEvent[]): (string | undefined)[] {
  return makeMoments()
    .take(events, 0)
    .map(({ subject }) => subject);
}

test.for([
  ['exits with 0', [event('died', 0)], []],
  ['exits with 1', [event('died', 1)], ['web: exited with 1']],
  ['is ended by SIGTERM', [event('died', 143)], []],
  ['is ended by Ctrl+C', [event('died', 130)], []],
  ['is stopped', [event('kill', 15), event('kill', 9, 9_000), event('died', 137, 10_000)], []],
  ['dies of SIGKILL', [event('died', 137)], ['web: exited with 137']],
  ['is told to read its configuration, and dies', [event('kill', 1), event('died', 2)], ['web: exited with 2']],
  ['dies long after a signal', [event('kill', 15), event('died', 2, MINUTE_MS)], ['web: exited with 2']],
  ['dies again after it was stopped', [event('kill', 15), event('died', 0), event('died', 3)], ['web: exited with 3']],
  ['is told in an unknown way', [event('died', null)], []],
  ['lacks memory', [event('oom', null)], ['web: a process was killed for want of memory']],
] as const)('a container that %s', ([, events, expected]) => {
  expect(tell(...events)).toEqual(expected);
});

test('an event that is told twice is one', () => {
  const moments = makeMoments();
  const death = event('died', 1);
  expect(moments.take([death], 0)).toHaveLength(1);
  expect(moments.take([death], 11 * MINUTE_MS)).toEqual([]);
});

test('a container that dies again and again is told every ten minutes, with how often', () => {
  const moments = makeMoments();
  const told: (string | undefined)[] = [];
  for (let atMs = 0; atMs <= 20 * MINUTE_MS; atMs += 10_000) {
    told.push(...moments.take([event('died', 1, atMs)], atMs).map(({ subject }) => subject));
  }
  const again = 'web: exited with 1, and 59 times more since it was told last';
  expect(told).toEqual(['web: exited with 1', again, again]);
});

test('of a flood no more is told than is bearable in an hour', () => {
  const moments = makeMoments();
  const flood = (atMs: number) => Array.from({ length: 500 }, (_, i) => event('died', 1, atMs, `job-${atMs}-${i}`));
  const told = [...moments.take(flood(0), 0), ...moments.take(flood(MINUTE_MS), MINUTE_MS)];
  expect(told).toHaveLength(60);
  expect(told.at(-1)?.subject).toBe('job-0-59: exited with 1; no more is told in this hour');
  expect(moments.take(flood(60 * MINUTE_MS), 60 * MINUTE_MS)).toHaveLength(60);
});

test('of a long name there is as much as there is room for beside what happened', () => {
  const moments = makeMoments();
  const name = 'k'.repeat(200);
  const oom = (atMs: number) => event('oom', null, atMs, name);
  moments.take([oom(0), oom(0)], 0);
  // The last one that is told in this hour has the most words.
  const others = Array.from({ length: 58 }, (_, i) => event('oom', null, 11 * MINUTE_MS, `job-${i}`));
  const told = moments.take([...others, oom(11 * MINUTE_MS)], 11 * MINUTE_MS);
  const words =
    ': a process was killed for want of memory; no more is told in this hour, and 1 times more since it was told last';
  expect(told.at(-1)?.subject).toBe(`${'k'.repeat(256 - words.length)}${words}`);
});
