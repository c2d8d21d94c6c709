import type { HostEvent } from '@muster/proto/event';
import { err, ok } from '@muster/proto/result';
import { expect, test } from 'vitest';

import { openReader } from './reader.ts';
import type { Sample, Source } from './source.ts';
import { settle } from './testing/clock.ts';
import { makeEvents } from './testing/events.ts';

const SAMPLE: Sample = { metric: 'system.uptime', labels: '', value: 1 };

/** A reader with clocks that tests move: `cpuMs` is the CPU time of the process. */
function start(sources: readonly Source[]) {
  const events = makeEvents();
  const notes: HostEvent[] = [];
  const clocks = { nowMs: 0, cpuMs: 0 };
  const reader = openReader({
    sources,
    note: (event) => notes.push(event),
    log: events.log,
    now: () => 1_000,
    nowMs: () => clocks.nowMs,
    cpuMs: () => clocks.cpuMs,
  });
  return { reader, events, notes, clocks };
}

test('a source that fails or throws disturbs no other, and is logged once per change', async () => {
  let mood: 'throws' | 'rejects' | 'fails' | 'remarks' | 'works' = 'throws';
  const moody: Source = {
    name: 'moody',
    read: () => {
      if (mood === 'throws') throw new Error('Cannot read it', { cause: new Error('EIO') });
      if (mood === 'rejects') return Promise.reject(new Error('gone'));
      if (mood === 'fails') return err('it is empty');
      return ok(mood === 'remarks' ? { samples: [], remark: 'one is left out' } : { samples: [] });
    },
  };
  const { reader, events } = start([moody, { name: 'steady', read: () => ok({ samples: [SAMPLE] }) }]);
  let tsMs = 0;
  for (const next of ['throws', 'rejects', 'fails', 'remarks', 'works'] as const) {
    mood = next;
    for (const _ of [1, 2]) expect(await reader.read((tsMs += 5_000), 5_000)).toEqual([SAMPLE]);
  }
  expect(events.names()).toEqual([
    'WARN source.failed',
    'WARN source.failed',
    'WARN source.failed',
    'INFO source.incomplete',
    'INFO source.complete',
  ]);
  expect(events.text()).toContain('Cannot read it: EIO');
});

test.for([
  // its own interval, the interval of the ticks, ticks at which it is read
  [undefined, 5_000, [5_000, 10_000, 15_000, 20_000, 25_000]],
  [10_000, 5_000, [5_000, 10_000, 20_000]],
  [10_000, 1_000, [5_000, 10_000, 20_000]],
  [1_000, 5_000, [5_000, 10_000, 15_000, 20_000, 25_000]],
] as const)('a source of %o ms is read, ticks being %i ms apart, at %o', async ([ownMs, everyMs, expected]) => {
  const readMs: number[] = [];
  let tsMs = 5_000;
  const source: Source = { name: 'own', read: () => (readMs.push(tsMs), ok({ samples: [] })) };
  const { reader } = start([ownMs === undefined ? source : { ...source, everyMs: ownMs }]);
  for (; tsMs <= 25_000; tsMs += everyMs) await reader.read(tsMs, everyMs);
  expect(readMs).toEqual(expected);
});

test('a source is read at once when the clock was set back', async () => {
  let reads = 0;
  const { reader } = start([{ name: 'own', everyMs: 60_000, read: () => ((reads += 1), ok({ samples: [] })) }]);
  for (const tsMs of [3_600_000, 3_605_000, 5_000, 10_000]) await reader.read(tsMs, 5_000);
  expect(reads).toBe(2);
});

test('what a slow source reads goes with the tick after its end, and it is not read again before', async () => {
  const answers: (() => void)[] = [];
  const slow: Source = {
    name: 'slow',
    read: () => new Promise((resolve) => answers.push(() => resolve(ok({ samples: [SAMPLE] })))),
  };
  const { reader, events } = start([slow]);
  expect(await reader.read(1_000, 1_000)).toEqual([]);
  expect(await reader.read(2_000, 1_000)).toEqual([]);
  expect(await reader.read(62_000, 1_000)).toEqual([]);
  expect(events.text()).toContain('it does not answer');
  expect(answers).toHaveLength(1);
  answers[0]?.();
  await settle();
  const last = reader.read(63_000, 1_000);
  answers[1]?.();
  expect(await last).toEqual([SAMPLE, SAMPLE]);
});

test('a source that says how long it may take has not failed before', async () => {
  const { reader, events } = start([{ name: 'patient', answerMsMax: 120_000, read: () => new Promise(() => {}) }]);
  for (const tsMs of [1_000, 62_000, 120_000]) await reader.read(tsMs, 1_000);
  expect(events.names()).toEqual([]);
  await reader.read(121_000, 1_000);
  expect(events.names()).toEqual(['WARN source.failed']);
});

test('no source holds up the end, and each is closed', async () => {
  const closed: string[] = [];
  const make = (name: string, close: () => Promise<void>): Source => ({ name, read: () => ok({ samples: [] }), close });
  const { reader, events } = start([
    make('first', async () => void closed.push('first')),
    make('stuck', () => new Promise(() => {})),
    make('broken', () => Promise.reject(new Error('EIO'))),
    make('last', async () => void closed.push('last')),
  ]);
  await reader.close();
  expect(closed).toEqual(['last', 'first']);
  expect(events.names()).toEqual(['WARN source.failed', 'WARN source.failed']);
  expect(events.text()).toContain('it cannot be closed: EIO');
  expect(events.text()).toContain('it does not end');
});

test('what a source does beside its readings is no cost of one that waits meanwhile', async () => {
  let besideMs = 0;
  const waiting = Promise.withResolvers<void>();
  const { reader, clocks } = start([
    { name: 'listening', read: () => ok({ samples: [] }), besideMs: () => besideMs },
    { name: 'waiting', read: () => waiting.promise.then(() => ok({ samples: [] })) },
  ]);
  const read = reader.read(5_000, 5_000);
  besideMs = 700;
  clocks.cpuMs += 710;
  waiting.resolve();
  await read;
  expect(reader.listCosts()).toEqual([
    { name: 'listening', durationMs: 0, cpuMs: 700 },
    { name: 'waiting', durationMs: 0, cpuMs: 10 },
  ]);
});

test('events are noted', async () => {
  const event = { kind: 'oom-kill', atMs: 7, subject: 'greedy' } as const;
  const { reader, notes } = start([{ name: 'kernel', read: () => ok({ samples: [], events: [event] }) }]);
  await reader.read(1_000, 1_000);
  expect(notes).toEqual([event]);
});

test('a source may have more samples than a call has arguments', async () => {
  const many = Array.from({ length: 300_000 }, () => SAMPLE);
  const { reader } = start([{ name: 'wide', read: () => ok({ samples: many }) }]);
  expect(await reader.read(1_000, 1_000)).toHaveLength(300_000);
});

test('a source over its budget is read less often, told once a step, then no more; another one goes on', async () => {
  let reads = 0;
  const { reader, events, notes, clocks } = start([
    { name: 'dear', read: () => ((reads += 1), (clocks.cpuMs += 900), ok({ samples: [] })) },
    { name: 'cheap', read: () => ((clocks.cpuMs += 1), ok({ samples: [SAMPLE] })), besideMs: () => 9_000 },
  ]);
  for (let tsMs = 0; tsMs <= 3_600_000; tsMs += 5_000) {
    expect(await reader.read(tsMs, 5_000)).toEqual([SAMPLE]);
  }
  expect(notes.map(({ kind }) => kind)).toEqual([
    'source-slowed',
    'source-slowed',
    'source-slowed',
    'source-slowed',
    'source-off',
  ]);
  expect(events.names()).toEqual([...Array.from({ length: 4 }, () => 'WARN source.slowed'), 'WARN source.off']);
  expect(reads).toBe(5 * 6);
  expect(reader.listCosts()).toEqual([
    { name: 'dear', durationMs: 0, cpuMs: reads * 900 },
    { name: 'cheap', durationMs: 0, cpuMs: 721 + 9_000 },
  ]);
});
