import { createSocket } from 'node:dgram';
import { once } from 'node:events';

import { expect, onTestFinished, test } from 'vitest';

import { makeSeriesPool } from '../custom/series.ts';
import { findFreePort } from '../testing/free-port.ts';
import { findSampleFault, readSamples } from '../testing/fixture.ts';
import { openStatsdSource, parseNoPorts6 } from './statsd.ts';
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

async function openSource(port: number) {
  const pool = makeSeriesPool();
  const source = await openStatsdSource({ settings: { port }, pool, root: '/', now: Date.now });
  onTestFinished(() => source.close?.());
  return source;
}

test('what is sent to the port is read, several lines a packet and with the line ends of any system, and the packets are counted', async () => {
  const port = await findFreePort('udp');
  const source = await openSource(port);
  const client = createSocket('udp4');
  client.send('hits:2|c\r\nqueue:7|g\r\n', port, '127.0.0.1');
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
