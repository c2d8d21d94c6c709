import { createSocket } from 'node:dgram';
import { once } from 'node:events';

import { readDescriptions } from '@muster/proto/custom';
import fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';

import { QUANTILES } from '../custom/histogram.ts';
import { IDLE_MS, makeSeriesPool } from '../custom/series.ts';
import { findFreePort } from '../testing/free-port.ts';
import { findSampleFault, readSamples } from '../testing/fixture.ts';
import { anyTextLike } from '../testing/any-text.ts';
import { makeRises } from '../testing/rises.ts';
import type { Sample } from '../source.ts';
import { openStatsdSource, parseNoPorts6 } from './statsd.ts';
import { makeAggregate, SET_VALUES_MAX } from './statsd/aggregate.ts';
import { parseStatsdLine, parseStatsdNumber, parseTags } from './statsd/parse.ts';

test.for([
  ['hits:1|c', ['hits', 'c', ['1'], 1, '']],
  ['hits:1|c|@0.1|#env:prod,canary', ['hits', 'c', ['1'], 10, 'env:prod,canary']],
  ['time:1:2:3|ms|#a:b|@0.5|c:ci-123|T1656581400', ['time', 'ms', ['1', '2', '3'], 2, 'a:b']],
  ['users:alice|s', ['users', 's', ['alice'], 1, '']],
  ['hits:1', null],
  ['hits|c', null],
  [':1|c', null],
  ['hits:1|x', null],
  ['hits:1|c|@0', null],
  ['hits:1|c|@1e-300', null],
  ['hits:1|c|@2', null],
  ['_e{5,4}:title|text', null],
  ['_sc|name|0', null],
  ['', null],
] as const)('parseStatsdLine(%s) is %j', ([text, expected]) => {
  const line = parseStatsdLine(text);
  expect(line === null ? null : [line.name, line.type, line.values, line.weight, line.tags]).toEqual(expected);
});

test.for([
  ['1', 1],
  ['-1.5e3', -1500],
  ['.5', 0.5],
  ['0x10', null],
  ['NaN', null],
  ['1e999', null],
  ['', null],
  [' 1', null],
  ['9'.repeat(50), null],
] as const)('parseStatsdNumber(%s) is %s', ([text, expected]) => expect(parseStatsdNumber(text)).toBe(expected));

test('parseTags() keeps what follows the first colon, and takes a tag without one for true', () => {
  expect(parseTags('route:/a:b,canary,,x:')).toEqual([
    ['route', '/a:b'],
    ['canary', 'true'],
    ['x', ''],
  ]);
});

function makeSmall(limit = 100) {
  const keeper = makeSeriesPool().open('statsd', limit);
  const aggregate = makeAggregate(keeper, limit);
  const read = (nowMs = 0) => show(aggregate.read(nowMs));
  const show = (samples: readonly Sample[]): Record<string, number> =>
    Object.fromEntries(samples.map(({ metric, labels, value }) => [`${metric}{${labels}}`, value]));
  return {
    held: aggregate.held,
    take: (...lines: readonly string[]) => lines.forEach((line) => aggregate.take(line, 0)),
    read,
    /** When counters have been told as 0. */
    readTwice: () => (read(), read()),
    samples: () => aggregate.read(0),
    refused: () => show(keeper.report(0).samples),
    words: (nowMs: number) => keeper.report(nowMs).refused,
  };
}

test('why values are refused is said for an hour, in words that stay the same', () => {
  const { take, words } = makeSmall();
  take('broken', 'system.x:1|c');
  const said = words(0);
  expect(said).toMatch(/^values are refused: it cannot be read; the name is one of Muster's own/);
  take('broken again');
  expect(words(5_000)).toBe(said);
  expect(words(3_600_000)).toBe('values are refused: it cannot be read');
  expect(words(3_605_000)).toBe(null);
});

test('counters add up, by their sample rate, and stand still when nothing comes', () => {
  const { take, read } = makeSmall();
  take('hits:1|c', 'hits:2|c', 'hits:1|c|@0.1', 'Hits:1|c|#b:2,a:1', 'hits:1|c|#a:1,b:2');
  expect(read()).toEqual({ 'hits{}': 0, 'hits{a=1,b=2}': 0 });
  expect(read()).toEqual({ 'hits{}': 13, 'hits{a=1,b=2}': 2 });
  expect(read()).toEqual({ 'hits{}': 13, 'hits{a=1,b=2}': 2 });
  take('hits:-1|c', 'hits:x|c');
  expect(read()['hits{}']).toBe(13);
});

test('a timer whose count is a counter of its own is refused, and takes no room', () => {
  const { take, read, refused } = makeSmall();
  take('x.count:1|c', 'x:5|ms', 'y:5|ms', 'y.sum:1|c');
  read();
  expect(Object.keys(read())).toEqual(['x.count{}', 'y.count{}', 'y.sum{}']);
  expect(refused()).toMatchObject({
    'muster.agent.series.count{muster.source=statsd}': 1 + 2 + QUANTILES.length,
    'muster.agent.samples.refused{muster.reason=kind,muster.source=statsd}': 2,
  });
});

test('a gauge is what was sent last; with a sign, a change of it', () => {
  const { take, read } = makeSmall();
  take('queue:5|g', 'queue:+3|g', 'queue:-10|g', 'fresh:-2|g');
  expect(read()).toEqual({ 'queue{}': -2, 'fresh{}': -2 });
});

test('a timer is seconds: its count and sum for ever, its quantiles of what came since the reading before', () => {
  const { take, read, samples } = makeSmall();
  take(...Array.from({ length: 100 }, (_, i) => `request.duration:${i + 1}|ms|#route:/a`));
  const first = read();
  expect(first['request.duration.count{route=/a}']).toBe(0);
  for (const [quantile, exact] of [
    ['0.5', 0.05],
    ['0.9', 0.09],
    ['0.99', 0.099],
  ] as const) {
    const found = first[`request.duration{quantile=${quantile},route=/a}`] ?? NaN;
    expect(Math.abs(found - exact) / exact).toBeLessThan(0.0101);
  }
  expect(first['request.duration{quantile=1,route=/a}']).toBe(0.1);
  expect(read()).toEqual({
    'request.duration.count{route=/a}': 100,
    'request.duration.sum{route=/a}': expect.closeTo(5.05),
  });
  take('request.duration:1|ms|@0.25|#route:/a');
  expect(Object.fromEntries(samples().map(({ metric, about }) => [metric, about]))).toEqual({
    'request.duration.count': { kind: 'counter', unit: '' },
    'request.duration.sum': { kind: 'counter', unit: 's' },
    'request.duration': { kind: 'gauge', unit: 's' },
  });
  expect(read()['request.duration.count{route=/a}']).toBe(104);
});

test('a timer whose name says milliseconds stays milliseconds; a histogram has no unit', () => {
  const { take, samples } = makeSmall();
  take('latency_ms:250|ms', 'size:250|h', 'spread:7|d');
  samples();
  const found = samples().map(({ metric, value, about }) => `${metric} ${value} ${about?.unit}`);
  expect(found).toContain('latency_ms.sum 250 ms');
  expect(found).toContain('size.sum 250 ');
  expect(found).toContain('spread.sum 7 ');
});

test('a set counts what is different since the reading before, and says nothing when that is too much', () => {
  const { take, read } = makeSmall();
  take('users:alice|s', 'users:bob|s', 'users:alice|s');
  expect(read()).toEqual({ 'users{}': 2 });
  expect(read()).toEqual({ 'users{}': 0 });
  take(...Array.from({ length: SET_VALUES_MAX + 1 }, (_, i) => `users:${i}|s`));
  expect(read()).toEqual({});
  expect(read()).toEqual({ 'users{}': 0 });
});

test.for([
  ['a:1|c', 'a:1|g'],
  ['a:1|g', 'a:1|s'],
  ['a:1|ms', 'a:1|h'],
  ['a:1|ms', 'a.count:1|c'],
  ['a.sum:1|c', 'a:1|h'],
] as const)('after %s, %s is refused: a metric is one thing', ([first, second]) => {
  const { take, read, readTwice, refused } = makeSmall();
  take(first);
  const before = readTwice();
  take(second);
  expect(read()).toMatchObject(
    Object.fromEntries(Object.entries(before).filter(([name]) => !name.includes('quantile'))),
  );
  expect(refused()['muster.agent.samples.refused{muster.reason=kind,muster.source=statsd}']).toBe(1);
});

test.for([
  ['system.cpu.time:1|c', 'reserved'],
  ['muster.agent.cpu_time:1|c', 'reserved'],
  ['__proto__:1|c', 'name'],
  ['requests,host=a:1|c', 'name'],
  ['requests;host=a:1|c', 'name'],
  ['x:1|c|#__proto__:1', 'labels'],
  ['x:1|c|#quantile:0.5', 'labels'],
  ['x:1e30|g', 'value'],
  ['garbage', 'malformed'],
] as const)('%s is refused as %s', ([line, reason]) => {
  const { take, read, refused } = makeSmall();
  take(line);
  expect(read()).toEqual({});
  expect(refused()[`muster.agent.samples.refused{muster.reason=${reason},muster.source=statsd}`]).toBe(1);
});

test.for([
  // its limit, what comes while a counter of 5 is idle, how it stands when it comes again
  [1, [], [5, 6]],
  [2, ['b:1|c'], [5, 6]],
  [1, ['b:1|c'], [0, 1]],
  [1, ['a:1|g'], [0, 1]],
] as const)(
  'of %i series one ends when it is no longer sent; after %j it goes on from %j',
  ([limit, lines, stands]) => {
    const { take, read } = makeSmall(limit);
    take('a:5|c');
    expect([read(), read()]).toEqual([{ 'a{}': 0 }, { 'a{}': 5 }]);
    expect(read(IDLE_MS)).toEqual({});
    take(...lines);
    expect(Object.keys(read(IDLE_MS))).toHaveLength(lines.length);
    expect(read(2 * IDLE_MS)).toEqual({});
    take('a:1|c');
    expect([read(2 * IDLE_MS), read(2 * IDLE_MS)]).toEqual(stands.map((value) => ({ 'a{}': value })));
  },
);

test.for([1, 7, 12, 30])('what comes every %i min rises by as much as came, at the collector', (everyMin) => {
  const keeper = makeSeriesPool().open('statsd', 100);
  const aggregate = makeAggregate(keeper, 100);
  const rises = makeRises();
  for (let tsMs = 0; tsMs < 3 * 3_600_000; tsMs += 10_000) {
    if (tsMs % (everyMin * 60_000) === 0)
      for (const line of ['backup.failed:1|c', 'backup.time:500|ms']) aggregate.take(line, tsMs);
    rises.take(aggregate.read(tsMs), tsMs);
  }
  const events = Math.ceil(180 / everyMin);
  expect(rises.all()).toEqual({ 'backup.failed': events, 'backup.time.count': events, 'backup.time.sum': events / 2 });
});

test('a million names, good and bad, are kept only as far as there is room for them', () => {
  const { take, read, refused, held } = makeSmall(1000);
  let spellings = 0;
  for (let i = 0; i < 1_000_000; i += 1) {
    take(i % 2 === 0 ? `name.of.a.metric.${i}:1|c|#tag:${i}` : `name.of.a.metric.${i}:1|c|#__proto__:${i}`);
    spellings = Math.max(spellings, held().spellings);
  }
  expect([held().series, spellings]).toEqual([1000, 2000]);
  expect(Object.keys(read())).toHaveLength(1000);
  expect(refused()).toMatchObject({
    'muster.agent.series.dropped{muster.source=statsd}': 499_000,
    'muster.agent.samples.refused{muster.reason=labels,muster.source=statsd}': 500_000,
  });
}, 60_000);

test('whatever is sent, what is told can travel', () => {
  const line = fc.oneof(
    anyTextLike('request.duration:12.5|ms|@0.5|#service:web,route:/a'),
    fc
      .tuple(
        fc.constantFrom('a', 'a.b', 'a-b', 'A'),
        fc.constantFrom('1', '-1', '+2', '1e9', 'x'),
        fc.constantFrom('c', 'g', 'h', 'd', 's', 'ms'),
      )
      .map(([name, value, type]) => `${name}:${value}|${type}`),
  );
  fc.assert(
    fc.property(fc.array(line), (lines) => {
      const { take, samples } = makeSmall();
      take(...lines);
      const found = samples();
      for (const { value } of found) expect(Number.isFinite(value)).toBe(true);
      const described = new Map(found.map(({ metric, about }) => [metric, [metric, about?.kind, about?.unit]]));
      expect(readDescriptions([...described.values()])).toEqual({ ok: true, value: [...described.values()] });
      const names = found.map(({ metric, labels }) => `${metric} ${labels}`);
      expect(new Set(names).size).toBe(names.length);
    }),
  );
});

async function openSource(port: number) {
  const pool = makeSeriesPool();
  const source = await openStatsdSource({ settings: { port }, pool, root: '/', now: Date.now });
  onTestFinished(() => source.close?.());
  return source;
}

test('what is sent to the port is read, several lines a packet, and the packets are counted', async () => {
  const port = await findFreePort('udp');
  const source = await openSource(port);
  const client = createSocket('udp4');
  client.send('hits:2|c\nqueue:7|g\n', port, '127.0.0.1');
  await expect
    .poll(() => readSamples(source))
    .toMatchObject({ 'hits{}': 2, 'queue{}': 7, 'muster.agent.statsd.packets{}': 1 });
  const reading = await source.read();
  const own = reading.ok ? reading.value.samples.filter(({ metric }) => metric.startsWith('muster.')) : [];
  expect(own.flatMap((sample) => findSampleFault(sample) ?? [])).toEqual([]);
  expect(await source.diagnose?.()).toEqual([{ what: `it listens on udp 127.0.0.1:${port}` }]);
  expect(source.besideMs?.()).toBeGreaterThan(0); // what the packet took
  client.close();
});

test('a flood is turned away before it costs more than its share, the port stays ours, and what follows is heard', async () => {
  const port = await findFreePort('udp');
  const source = await openSource(port);
  const client = createSocket('udp4');
  const dropped = async () =>
    (await readSamples(source))['muster.agent.statsd.packets.dropped{muster.reason=flood}'] ?? 0;
  // Both ends are in this process: they take turns.
  for (let round = 0; round < 3000 && (await dropped()) === 0; round += 1) {
    for (let i = 0; i < 200; i += 1) client.send('hits:1|c', port, '127.0.0.1');
    await new Promise((resolve) => void setImmediate(resolve));
  }
  expect(await dropped()).toBeGreaterThan(0);
  const again = async () => {
    client.send('after:1|g', port, '127.0.0.1');
    return (await readSamples(source))['after{}'];
  };
  await expect.poll(again, { timeout: 10_000 }).toBe(1);
  client.close();
});

test('a port that is taken is told with its holder, and taken once it is free', async () => {
  const holder = createSocket('udp4');
  holder.bind({ port: 0, address: '127.0.0.1', exclusive: true });
  await once(holder, 'listening');
  const { port } = holder.address();
  let nowMs = 0;
  const source = await openStatsdSource({ settings: { port }, pool: makeSeriesPool(), root: '/', now: () => nowMs });
  onTestFinished(() => source.close?.());
  const reading = await source.read();
  expect(reading.ok ? '' : reading.error).toContain(`127.0.0.1:${port} is taken by`);
  expect(reading.ok ? '' : reading.error).toContain(`(process ${process.pid})`);
  holder.close();
  await once(holder, 'close');
  expect((await source.read()).ok).toBe(false); // not yet again
  nowMs = 30_000;
  expect((await source.read()).ok).toBe(true);
});

test('a port that is lost after it was had is told, given back, and taken again', async () => {
  const port = await findFreePort('udp');
  let nowMs = 0;
  // No socket may be connected to a broadcast address unless it asks for that: what a flood makes it try.
  const settings = { port, address: '127.255.255.255' };
  const pool = makeSeriesPool();
  const source = await openStatsdSource({ settings, pool, root: '/', now: () => nowMs, cpuRatioMax: 0.001 });
  onTestFinished(() => source.close?.());
  const client = createSocket('udp4');
  client.bind(0, '127.0.0.1');
  await once(client, 'listening');
  client.setBroadcast(true);
  const send = () => client.send('hits:1|c', port, '127.255.255.255');
  const fault = async () => {
    for (let i = 0; i < 1000; i += 1) send();
    await source.read();
    return (await source.diagnose?.())?.[0]?.what;
  };
  await expect.poll(fault, { timeout: 20_000 }).toContain('cannot be had');
  const other = createSocket('udp4');
  other.bind({ port, address: '127.255.255.255', exclusive: true });
  await once(other, 'listening');
  other.close();
  await once(other, 'close');
  nowMs = 30_000;
  await source.read();
  expect(await source.diagnose?.()).toMatchObject([{ what: `it listens on udp 127.255.255.255:${port}` }]);
  const packets = async () => (await readSamples(source))['muster.agent.statsd.packets{}'] ?? 0;
  const before = await packets();
  send();
  await expect.poll(packets).toBeGreaterThan(before);
  client.close();
});

test('parseNoPorts6() finds the count by its name', () => {
  expect(parseNoPorts6('Udp6InDatagrams  \t4\nUdp6NoPorts                     \t9\n')).toBe(9);
  expect(parseNoPorts6('')).toBeNull();
});
