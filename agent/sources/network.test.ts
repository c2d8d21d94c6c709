import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import fc from 'fast-check';
import { expect, test } from 'vitest';

import { anyTextLike } from '../testing/any-text.ts';
import { DEBIAN, findSampleFault, makeRoot, readFixture, readSamples } from '../testing/fixture.ts';
import { findOnWire, makeNetworkSource, parseNetwork, readNetwork } from './network.ts';

test('readNetwork() takes the interfaces of a captured machine, without the loopback', () => {
  const interfaces = readNetwork(DEBIAN);
  expect(interfaces.ok && interfaces.value.map(({ name }) => name)).toEqual(['ifb0', 'ifb1', 'eth0']);
  expect(interfaces.ok && interfaces.value[2]?.receive).toEqual({
    bytes: 683_997_626,
    packets: 16_643,
    errors: 0,
    dropped: 0,
  });
});

const COUNTS = '1 2 3 4 5 6 7 8 11 12 13 14 15 16 17 18\n';
const TRAFFIC = {
  receive: { bytes: 1, packets: 2, errors: 3, dropped: 4 },
  transmit: { bytes: 11, packets: 12, errors: 13, dropped: 14 },
};

test('readNetwork() leaves out the loopback and the ends of containers', () => {
  const names = ['lo', 'veth1a2b', 'eth0', 'wlveth', 'lo1'];
  const found = readNetwork(makeRoot({ 'proc/net/dev': names.map((name) => `${name}: ${COUNTS}`).join('') }));
  expect(found.ok && found.value.map(({ name }) => name)).toEqual(['eth0', 'wlveth', 'lo1']);
});

test.for([
  [{}, 'there is no proc/net/dev'],
  [{ 'proc/net/dev': 'garbage\n' }, 'proc/net/dev lists no interface, not even the loopback'],
])('readNetwork() of %o says why there is none', ([files, error]) => {
  expect(readNetwork(makeRoot(files as Record<string, string>))).toEqual({ ok: false, error });
});

test.for([
  // what, entries of sys/class/net, on the wire
  [
    'a bond over two cards',
    ['eth0/device', 'eth1/device', 'bond0/lower_eth0', 'bond0.7/lower_bond0'],
    ['eth0', 'eth1'],
  ],
  ['a bridge over a card', ['eth0/device', 'br0/lower_eth0', 'docker0/type'], ['eth0']],
  ['a card over another, as on Azure', ['eth0/device', 'eth0/lower_vf', 'vf/device'], ['vf']],
  ['a container', ['eth0/type', 'eth0.7/lower_eth0'], ['eth0']],
  ['no sysfs', [], ['eth0', 'eth1']],
] as const)('findOnWire() of %s', ([, entries, expected]) => {
  const root = makeRoot(Object.fromEntries(entries.map((entry) => [`sys/class/net/${entry}`, ''])));
  const names = new Set(entries.length > 0 ? entries.map((entry) => entry.split('/')[0] ?? '') : ['eth0', 'eth1']);
  const interfaces = [...names].map((name) => Object.assign({ name }, TRAFFIC));
  expect([...findOnWire(root, interfaces)]).toEqual(expected);
});

test('the total of the network neither falls nor jumps when interfaces come, go and are reset', async () => {
  const root = makeRoot({ 'sys/class/net/eth0/device': '', 'sys/class/net/eth1/device': '', 'proc/net/dev': '' });
  const source = makeNetworkSource(root);
  const totals: number[] = [];
  for (const bytes of [
    { eth0: 100 },
    { eth0: 110, eth1: 9_000 },
    { eth0: 120, eth1: 9_005 },
    { eth1: 9_006 },
    { eth1: 2 },
    { eth0: 500, eth1: 3 },
  ]) {
    const lines = Object.entries({ ...bytes, br0: 1 }).map(([name, count]) => `${name}: ${count} ${COUNTS.slice(2)}`);
    writeFileSync(join(root, 'proc/net/dev'), lines.join(''));
    totals.push((await readSamples(source))['system.network.io{network.io.direction=receive}'] ?? -1);
  }
  expect(totals).toEqual([0, 10, 25, 26, 26, 27]);
  const reading = await source.read();
  expect(reading.ok && reading.value.samples.map(findSampleFault).filter(Boolean)).toEqual([]);
});

test.for([
  ['eth0: ', 'eth0'],
  ['  eth0:', 'eth0'], // Linux before 2.6.38 puts no space after the colon
  ['br-0a1b2c3d=,4: ', 'br-0a1b2c3d=,4'], // any name without a slash, a colon and white space is legal
])('parseNetwork() reads the interface %o', ([head, name]) => {
  expect(parseNetwork(`${head}${COUNTS}`)).toEqual([{ name, ...TRAFFIC }]);
});

test.for(['', 'eth0: 1 2 3\n', `eth0: ${COUNTS.trim()}`, `eth0 ${COUNTS}`, 'eth0: x 2 3 4 5 6 7 8 9 10 11 12 13\n'])(
  'parseNetwork(%o) finds no interface',
  (text) => {
    expect(parseNetwork(text)).toEqual([]);
  },
);

test('parseNetwork() never throws, and of a text cut short it takes only whole lines', () => {
  const good = readFixture('proc/net/dev');
  fc.assert(fc.property(anyTextLike(good), (text) => void parseNetwork(text)));
  const whole = parseNetwork(good);
  fc.assert(
    fc.property(fc.nat(good.length), (end) => {
      const cut = parseNetwork(good.slice(0, end));
      expect(cut).toEqual(whole.slice(0, cut.length));
    }),
  );
});

test('cards that swap their names make neither a rise nor a fall of what they carried, nor does their sum', async () => {
  const line = (name: string, bytes: number) => `${name}: ${bytes} 2 3 4 5 6 7 8 ${bytes} 12 13 14 15 16 17 18\n`;
  const card = (name: string) => `sys/class/net/${name}`;
  const root = makeRoot({
    [`${card('eth0')}/device`]: '',
    [`${card('eth0')}/ifindex`]: '2\n',
    [`${card('eth1')}/device`]: '',
    [`${card('eth1')}/ifindex`]: '3\n',
    'proc/net/dev': line('eth0', 10) + line('eth1', 9e9),
  });
  const source = makeNetworkSource(root);
  const received: (number | undefined)[][] = [];
  const read = async () => {
    const samples = await readSamples(source);
    const of = (name: string) => samples[`system.network.io{${name}network.io.direction=receive}`];
    received.push([of('network.interface.name=eth0,'), of('network.interface.name=eth1,'), of('')]);
  };
  await read();
  writeFileSync(join(root, card('eth0'), 'ifindex'), '3\n');
  writeFileSync(join(root, card('eth1'), 'ifindex'), '2\n');
  writeFileSync(join(root, 'proc/net/dev'), line('eth0', 9e9 + 100) + line('eth1', 20));
  await read();
  writeFileSync(join(root, 'proc/net/dev'), line('eth0', 9e9 + 150) + line('eth1', 25));
  await read();
  expect(received).toEqual([
    [10, 9e9, 0],
    [0, 0, 0],
    [50, 5, 55],
  ]);
});

test('of pods and virtual machines there are no series, and of too many interfaces those of the first, and the card', async () => {
  const root = makeRoot({});
  const add = (name: string, files: Readonly<Record<string, string>>) => {
    mkdirSync(join(root, 'sys/class/net', name), { recursive: true });
    for (const [file, text] of Object.entries(files)) writeFileSync(join(root, 'sys/class/net', name, file), text);
  };
  const listed: string[] = [];
  const read = async (names: readonly string[]) => {
    listed.push(...names);
    mkdirSync(join(root, 'proc/net'), { recursive: true });
    writeFileSync(join(root, 'proc/net/dev'), listed.map((name) => `${name}: ${COUNTS}`).join(''));
    const reading = await source.read();
    if (!reading.ok) throw new Error(reading.error);
    const { samples, remark } = reading.value;
    const named = samples.map(({ labels }) => /network\.interface\.name=([^,]*)/.exec(labels)?.[1] ?? '');
    return { names: new Set(named), count: samples.length, remark };
  };
  const source = makeNetworkSource(root);
  const pods = Array.from({ length: 300 }, (_, i) => `cali${i}`);
  for (const [i, name] of pods.entries()) add(name, { ifindex: `${i + 10}\n`, iflink: '3\n', type: '1\n', uevent: '' });
  add('tap0', { ifindex: '5\n', iflink: '5\n', type: '1\n', tun_flags: '0x1002\n' });
  add('eth9', { ifindex: '2\n', iflink: '2\n', type: '1\n', device: '' });
  expect(await read([...pods, 'tap0', 'eth9'])).toEqual({ names: new Set(['eth9', '']), count: 10, remark: undefined });
  const bridges = Array.from({ length: 100 }, (_, i) => `br-${i}`);
  const { names, count, remark } = await read(bridges);
  expect([names.size, count, remark]).toEqual([101, 802, expect.stringContaining('more than 100 interfaces')]);
  expect([names.has('eth9'), names.has('br-98'), names.has('br-99')]).toEqual([true, true, false]);
});
