import type { ReadResult, Source } from '@muster/agent/source';
import { makeContainerSource } from '@muster/agent/sources/containers';
import { findSampleFault } from '@muster/agent/testing/fixture';
import { afterAll, expect, test } from 'vitest';

import { openPodmanIfPossible } from './podman.ts';
import { until } from './until.ts';

const podman = await openPodmanIfPossible();
const options = { skip: podman === null, timeout: 60_000 };
afterAll(async () => {
  await podman?.close();
}, 60_000);

/** Containers that are a second old count: nobody wants to wait a minute. */
function watch(root: string): Source {
  const names = { limit: 10, include: [], exclude: ['not-*'], settleMs: 0 };
  return makeContainerSource({ root, now: Date.now, socket: podman?.socket, answerMsMax: 5_000, names });
}

function valuesOf(reading: ReadResult): Readonly<Record<string, number>> {
  const samples = reading.ok ? reading.value.samples : [];
  return Object.fromEntries(samples.map(({ metric, labels, value }) => [`${metric}{${labels}}`, value]));
}

test('a real container is seen: its limits, what it uses, that it dies and is restarted', options, async () => {
  const limits = ['--memory=64m', '--memory-swap=64m', '--cpus=0.1'];
  await podman?.run('busy', limits, [
    'sh',
    '-c',
    'end=$(($(date +%s) + 60)); while [ $(date +%s) -lt $end ]; do :; done',
  ]);
  await podman?.run('restless', ['--restart=on-failure:5'], ['sh', '-c', 'sleep 1; exit 3']);
  await podman?.run('not-this', [], ['sleep', '60']);
  const source = watch('/');
  const told: (string | undefined)[] = [];
  const read = async () => {
    const reading = await source.read();
    const { events = [], remark = '', samples } = reading.ok ? reading.value : { samples: [], remark: reading.error };
    expect(remark).toBe('');
    expect(samples.flatMap((sample) => findSampleFault(sample) ?? [])).toEqual([]);
    for (const event of events) told.push(`${event.kind} ${'subject' in event ? event.subject : ''}`);
    return valuesOf(reading);
  };
  const restarted = await until('a restart', async () => {
    const values = await read();
    return (values['container.restart.count{container.name=restless}'] ?? 0) >= 1 ? values : null;
  });
  expect(restarted).toMatchObject({
    'container.state{container.name=busy,container.state=running}': 1,
    'container.memory.limit{container.name=busy}': 64 * 1024 * 1024,
    'container.cpu.limit{container.name=busy}': 0.1,
    'container.thread.count{container.name=busy}': expect.any(Number),
  });
  expect(Object.keys(restarted).filter((key) => key.includes('not-this'))).toEqual([]);
  const [workingSetBytes = 0, ratio = 0] = ['working_set', 'utilization'].map(
    (what) => restarted[`container.memory.${what}{container.name=busy}`],
  );
  expect(workingSetBytes).toBeGreaterThan(0);
  expect(ratio).toBeCloseTo(workingSetBytes / 2 ** 26, 4);
  await until('the death in the events', () => (told.length > 0 ? told : read().then(() => null)));
  expect(told[0]).toBe('container-died restless: exited with 3');
  await until('CPU time, of which it is kept from more', async () => {
    const values = await read();
    const [used = 0, throttled = 0] = ['time', 'throttled_time'].map(
      (what) => values[`container.cpu.${what}{container.name=busy}`],
    );
    return used > 0 && throttled > 0 ? values : null;
  });
  await source.close?.();
});

test('where its files cannot be seen, the engine says what it uses', options, async () => {
  const source = watch('/nonexistent');
  await podman?.run('seen', ['--memory=32m'], ['sleep', '60']);
  const reading = await source.read();
  expect(reading.ok && reading.value.remark).toContain('their control groups cannot be seen');
  const values = valuesOf(reading);
  expect(values['container.memory.usage{container.name=seen}']).toBeGreaterThan(0);
  expect(values['container.memory.limit{container.name=seen}']).toBe(32 * 1024 * 1024);
  expect(values['container.cpu.time{container.name=seen}']).toBe(0);
  await source.close?.();
});
