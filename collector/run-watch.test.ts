import { expect, test } from 'vitest';

import { makeRunWatch } from './run-watch.ts';
import type { HostToken } from './store/state.ts';
import { makeTestState } from './test-state.ts';

const TOKEN: HostToken = { hash: 'aa', host: 'web-1', createdMs: 1, state: 'live', sinceMs: 1 };

async function openTestWatch() {
  const { hostTokens } = makeTestState();
  await hostTokens.put(TOKEN);
  const told: unknown[] = [];
  const onQuarantined = (...what: unknown[]): void => void told.push(what);
  const admit = makeRunWatch({ hostTokens, onQuarantined, now: () => 5 });
  const admitAll = async (runs: readonly (number | undefined)[]): Promise<boolean[]> => {
    const admitted: boolean[] = [];
    for (const run of runs) admitted.push(await admit('aa', run));
    return admitted;
  };
  return { admit, admitAll, hostTokens, told };
}

const TURNS = [1, 2, 1, 2, 1, 2];

test('admitRun() says no before the quarantine is stored, to everyone, and tells it once', async () => {
  const { admit, admitAll, hostTokens, told } = await openTestWatch();
  expect(await admitAll(TURNS)).toEqual(TURNS.map(() => true));
  expect(await Promise.all([1, 2, undefined].map((run) => admit('aa', run)))).toEqual([false, false, false]);
  expect(hostTokens.get('aa')).toEqual({ ...TOKEN, state: 'quarantined', sinceMs: 5 });
  expect(told).toEqual([['web-1', [2, 1]]]);
  expect(await admit('aa', 3)).toBe(false);
});

test('admitRun() that cannot store a quarantine admits nothing and tries again', async () => {
  const { admit, admitAll, hostTokens, told } = await openTestWatch();
  await admitAll(TURNS);
  const intact = { ...hostTokens };
  Object.assign(hostTokens, { change: () => Promise.reject(new Error('disk full')) });
  await expect(admit('aa', 1)).rejects.toThrow('disk full');
  expect(told).toEqual([]);
  Object.assign(hostTokens, intact);
  expect([await admit('aa', 1), hostTokens.get('aa')?.state]).toEqual([false, 'quarantined']);
  expect(told.length).toBe(1);
});

test('admitRun() does not count batches that name no run, and begins anew with another token', async () => {
  const { admit, admitAll, hostTokens } = await openTestWatch();
  const mixed = [1, undefined, 2, undefined, 1, undefined, 2, undefined];
  expect(await admitAll(mixed)).toEqual(mixed.map(() => true));
  await hostTokens.put({ ...TOKEN, hash: 'bb' });
  for (const run of TURNS) expect(await admit('bb', run)).toBe(true);
  expect(await admit('unknown', 1)).toBe(true);
});
