import { expect, test } from 'vitest';

import { makeLog } from '@muster/proto/log';

import { StoreError } from '../domain/store-error.ts';
import type { Engine } from './store.ts';
import { watchEngine } from './watch.ts';

/** An engine whose next write ends as the test says. */
function makeWatched() {
  let next: Error | null = null;
  const write = (): Promise<void> => (next === null ? Promise.resolve() : Promise.reject(next));
  const read = (): Promise<[]> => write().then(() => []);
  const engine: Engine = {
    insert: write,
    command: write,
    query: read,
    flush: async () => undefined,
    swap: (task) => task(async () => undefined),
    openSession: () => Promise.reject(new Error('nobody asks')),
    close: async () => undefined,
  };
  const lines: string[] = [];
  const watched = watchEngine(
    engine,
    makeLog((line) => void lines.push(line), Date.now),
  );
  const events = (): unknown[] => lines.map((line) => (JSON.parse(line) as { event: string }).event);
  return { ...watched, events, setNext: (error: Error | null) => void (next = error) };
}

const full = new StoreError('Cannot write: the disk is full', true, new Error('Cannot reserve 1.00 MiB'));

test('a full disk is logged once, whoever meets it, and its end once', async () => {
  const { engine, fault, events, setNext } = makeWatched();
  setNext(full);
  for (let i = 0; i < 3; i += 1) await expect(engine.insert('hosts', 1, [])).rejects.toBe(full);
  await expect(engine.command('DROP')).rejects.toBe(full);
  expect([fault(), events()]).toEqual([full.message, ['store.failed']]);
  setNext(null);
  await engine.command('DROP');
  expect(fault()).toBe(full.message); // what needs no room says nothing about it
  for (let i = 0; i < 2; i += 1) await engine.insert('hosts', 1, []);
  expect([fault(), events()]).toEqual([null, ['store.failed', 'store.recovered']]);
});

test('another fault of a write is no fault of the store until somebody who knows says so', async () => {
  const { engine, fault, noteFault, events, setNext } = makeWatched();
  const error = new StoreError('Cannot write to the database', false, new Error('Too many partitions'));
  setNext(error);
  await expect(engine.insert('samples', 1, [])).rejects.toBe(error);
  expect([fault(), events()]).toEqual([null, []]);
  noteFault(error);
  expect([fault(), events()]).toEqual(['Cannot write to the database', ['store.failed']]);
});

test('a server that is away is logged once, also where somebody reads first', async () => {
  const { engine, fault, events, setNext } = makeWatched();
  const away = new StoreError('Cannot reach the server', false, new Error('ECONNREFUSED'), true);
  setNext(away);
  for (let i = 0; i < 2; i += 1) await expect(engine.query('SELECT 1')).rejects.toBe(away);
  expect([fault(), events()]).toEqual([away.message, ['store.failed']]);
  setNext(null);
  await engine.insert('hosts', 1, []);
  expect([fault(), events()]).toEqual([null, ['store.failed', 'store.recovered']]);
});
