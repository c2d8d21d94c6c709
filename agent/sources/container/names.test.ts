import { expect, test } from 'vitest';

import type { ContainerState, Listed } from './answers.ts';
import { makeNames, type NameOptions } from './names.ts';

const HOUR_MS = 3_600_000;
const NOW_MS = 100 * HOUR_MS;
const OPTIONS: NameOptions = { limit: 3, include: [], exclude: [], settleMs: 60_000 };

function container(name: string, createdMs = 0, state: ContainerState = 'running'): Listed {
  return { id: `${name}-${createdMs}`, name, image: 'x', createdMs, state, status: '', ...NOTHING };
}
const NOTHING = { health: null, composeProject: null, composeService: null };

function choose(listed: readonly Listed[], options: Partial<NameOptions> = {}): string[] {
  return [
    ...makeNames({ ...OPTIONS, ...options })
      .choose(listed, NOW_MS)
      .containers.keys(),
  ];
}

test.for([
  // what, include, exclude, chosen
  ['nothing', [], [], ['web.1', 'web-1', 'db']],
  ['a name', ['db'], [], ['db']],
  ['a glob', ['web?1'], [], ['web.1', 'web-1']],
  ['a dot, which is itself', ['web.*'], [], ['web.1']],
  ['an exclusion, which is stronger', ['web*'], ['*-1'], ['web.1']],
  ['what is a pattern elsewhere', ['(a+)+$', '[a-z]*', '\\w'], [], []],
] as const)('choose() with %s', ([, include, exclude, expected]) => {
  expect(choose([container('web.1'), container('web-1'), container('db')], { include, exclude })).toEqual(expected);
});

test('a container that is gone within a minute has no series, unless its name is known', () => {
  const names = makeNames(OPTIONS);
  const chosen = (listed: readonly Listed[], atMs: number) => [...names.choose(listed, atMs).containers.keys()];
  expect(chosen([container('web', NOW_MS), container('job', NOW_MS)], NOW_MS + 59_999)).toEqual([]);
  expect(chosen([container('web', NOW_MS)], NOW_MS + 60_000)).toEqual(['web']);
  expect(chosen([container('web', NOW_MS + 60_000), container('job', NOW_MS + 60_000)], NOW_MS + 60_001)).toEqual([
    'web',
  ]);
});

test('beyond the limit those that run and are known stay, the older first, and a remark says so', () => {
  const names = makeNames(OPTIONS);
  const old = [container('ended', 1, 'exited'), container('b', 3), container('a', 2)];
  expect([...names.choose(old, NOW_MS).containers.keys()]).toEqual(['a', 'b', 'ended']);
  const { containers, remarks } = names.choose([container('older', 0), container('c', 4), ...old], NOW_MS);
  expect([...containers.keys()]).toEqual(['a', 'b', 'older']);
  expect(remarks).toEqual([expect.stringContaining('there are more than 3 containers')]);
});

test('of two with one name it is the one that runs, else the younger', () => {
  const names = makeNames(OPTIONS);
  const both = [container('web', 1, 'exited'), container('web', 2), container('db', 1), container('db', 5)];
  const { containers } = names.choose(both, NOW_MS);
  expect(Array.from(containers.values(), ({ id }) => id)).toEqual(['db-5', 'web-2']);
});

test('names that come and go for ever take no more than their places, which are free again after a day', () => {
  const names = makeNames(OPTIONS);
  const taken = new Set<string>();
  const remarks = new Set<string>();
  for (let i = 0; i < 1_000; i += 1) {
    const chosen = names.choose([container('web'), container(`job-${i}`, i)], NOW_MS + i * 60_000);
    for (const name of chosen.containers.keys()) taken.add(name);
    for (const remark of chosen.remarks) remarks.add(remark);
  }
  expect(taken.size).toBe(9);
  expect([...remarks]).toEqual([expect.stringContaining('as many as have a place')]);
  const later = names.choose([container('web'), container('next', 5)], NOW_MS + 48 * HOUR_MS);
  expect([...later.containers.keys()]).toEqual(['web', 'next']);
  expect(names.isKnown('job-1')).toBe(false);
});
