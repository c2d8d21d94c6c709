import { afterAll, beforeAll, expect, test } from 'vitest';

import { openBareStore, type TestStore } from '../test-store.ts';
import { migrate, MIGRATIONS } from './migrations.ts';
import { loadState, type EnrolmentToken, type HostToken } from './state.ts';
import type { Engine } from './store.ts';

let engine: Engine;
let close: TestStore['close'];

beforeAll(async () => {
  ({ engine, close } = await openBareStore());
});

afterAll(() => close());

test('migrate() makes the host tokens of an older Muster live ones', async () => {
  for (const statement of MIGRATIONS[0]?.statements ?? []) await engine.command(statement);
  await engine.insert('host_tokens', 1, [
    { name: 'hash', type: 'String', values: ['old'] },
    { name: 'host', type: 'String', values: ['web-0'] },
    { name: 'createdMs', type: 'UInt64', values: [5] },
    { name: 'version', type: 'UInt64', values: [1] },
  ]);
  await migrate(engine);
  const token = { hash: 'old', host: 'web-0', createdMs: 5, state: 'live', sinceMs: 5 };
  const state = await loadState(engine, () => 500);
  expect([...state.hostTokens.all()]).toEqual([token]);
  await state.hostTokens.remove('old');
});

test('loadState() finds again what was put, changed and removed', async () => {
  const state = await loadState(engine, () => 1000); // a clock that stands still
  const record = {
    host: 'web-1',
    name: "O'Neil\n\n<b>",
    machine: 'a',
    enrolledMs: 5,
    inventory: { os: 'Debian', cores: 2 },
  };
  await state.hosts.put(record);
  await state.hosts.put({ ...record, name: 'web' });
  const token: HostToken = { hash: 'bb', host: 'web-1', createdMs: 6, state: 'quarantined', sinceMs: 7 };
  await state.hostTokens.put({ ...token, hash: 'aa' });
  await state.hostTokens.put(token);
  await state.hostTokens.put({ ...token, hash: 'ab' });
  await state.hostTokens.put({ ...token, hash: 'ac' });
  await state.hostTokens.remove('aa');
  await state.hostTokens.removeAll(['ab', 'not there', 'ac']);
  const enrolment: EnrolmentToken = {
    hash: 'cc',
    createdMs: 1,
    expiresMs: 2,
    hosts: 3,
    machines: ['0123', '4567'],
    revoked: true,
  };
  await state.enrolmentTokens.put(enrolment);
  const again = await loadState(engine, () => 1000);
  expect([...again.hosts.all()]).toEqual([{ ...record, name: 'web' }]);
  expect([...again.hostTokens.all()]).toEqual([token]);
  expect([...again.enrolmentTokens.all()]).toEqual([enrolment]);
  await again.hosts.put(record);
  expect((await loadState(engine, () => 1000)).hosts.get('web-1')).toEqual(record);
});

test('loadState() finds again what was put in one block', async () => {
  const state = await loadState(engine, () => 1500);
  await state.metrics.put({ metric: 'a', kind: 'gauge', unit: '' });
  const rows = [
    { metric: 'a', kind: 'counter', unit: 'By' },
    { metric: 'b', kind: 'gauge', unit: '{x}' },
  ] as const;
  await state.metrics.putAll(rows);
  await state.metrics.putAll([]);
  expect([...state.metrics.all()]).toEqual(rows);
  const again = (await loadState(engine, () => 1500)).metrics;
  expect(rows.map(({ metric }) => again.get(metric))).toEqual(rows);
});

test('loadState() does not bring back a row that is removed while it changes', async () => {
  const state = await loadState(engine, () => 2000);
  await state.sessions.put({ hash: 'cc', createdMs: 1, usedMs: 1 });
  const changed = state.sessions.change('cc', (row) => ({ ...row, usedMs: 2 }));
  const removed = state.sessions.remove('cc');
  expect(state.sessions.get('cc')).toBeUndefined();
  await Promise.all([changed, removed]);
  expect(state.sessions.get('cc')).toBeUndefined();
  expect((await loadState(engine, () => 2000)).sessions.get('cc')).toBeUndefined();
});

test('loadState() makes a change of the row as the change before has left it', async () => {
  const state = await loadState(engine, () => 3000);
  const record = { host: 'db-1', name: 'old', machine: 'a', enrolledMs: 5, inventory: null };
  await state.hosts.put(record);
  const renamed = state.hosts.put({ ...record, name: 'new' });
  await state.hosts.change('db-1', (row) => ({ ...row, inventory: { cores: 4 } }));
  await renamed;
  expect(state.hosts.get('db-1')).toEqual({ ...record, name: 'new', inventory: { cores: 4 } });
});

test('remove() that could not be stored leaves the row, as a start would find it', async () => {
  let isFull = false;
  const insert: Engine['insert'] = (...block) =>
    isFull ? Promise.reject(new Error('the disk is full')) : engine.insert(...block);
  const state = await loadState({ ...engine, insert }, () => 4000);
  const session = { hash: 'dd', createdMs: 1, usedMs: 1 };
  await state.sessions.put(session);
  isFull = true;
  await expect(state.sessions.remove('dd')).rejects.toThrow('the disk is full');
  expect(state.sessions.get('dd')).toEqual(session);
  isFull = false;
  await state.sessions.remove('dd');
  expect((await loadState(engine, () => 4000)).sessions.get('dd')).toBeUndefined();
});

test('changes that come while one is stored are stored in one block, each made of what the one before has left', async () => {
  let blocks = 0;
  const insert: Engine['insert'] = (...block) => {
    blocks += 1;
    return engine.insert(...block);
  };
  const { hosts } = await loadState({ ...engine, insert }, () => 5000);
  const make = (host: string) => ({ host, name: '', machine: host, enrolledMs: 5, inventory: null });
  const first = hosts.put(make('many-0'));
  await Promise.resolve();
  const others = Array.from({ length: 99 }, (_, i) => hosts.put(make(`many-${i + 1}`)));
  const renamed = ['a', 'b', 'c'].map((letter) =>
    hosts.change('many-50', (row) => ({ ...row, name: row.name + letter })),
  );
  const unchanged = hosts.change('many-3', (row) => row);
  await Promise.all([first, ...others, ...renamed, unchanged]);
  expect(blocks).toBe(2);
  const again = (await loadState(engine, () => 5000)).hosts;
  for (const table of [hosts, again]) {
    expect(table.get('many-50')?.name).toBe('abc');
    expect([...table.all()].filter(({ host }) => host.startsWith('many-')).length).toBe(100);
  }
});

test('a row that changes while it leaves is gone, and is as it was changed when it cannot leave', async () => {
  const answers: ((error?: Error) => void)[] = [];
  const insert: Engine['insert'] = () =>
    new Promise((resolve, reject) => {
      answers.push((error) => (error === undefined ? resolve() : reject(error)));
    });
  const { sessions } = await loadState({ ...engine, insert }, () => 6000);
  const put = sessions.put({ hash: 'ee', createdMs: 1, usedMs: 1 });
  await expect.poll(() => answers.length).toBe(1);
  answers[0]?.();
  await put;
  const changed = sessions.change('ee', (row) => ({ ...row, usedMs: 2 }));
  await expect.poll(() => answers.length).toBe(2);
  const removed = sessions.remove('ee');
  answers[1]?.();
  await changed;
  expect(sessions.get('ee')).toBeUndefined();
  expect([...sessions.all()].filter(({ hash }) => hash === 'ee')).toEqual([]);
  await expect.poll(() => answers.length).toBe(3);
  answers[2]?.(new Error('the disk is full'));
  await expect(removed).rejects.toThrow('the disk is full');
  expect(sessions.get('ee')?.usedMs).toBe(2);
});
