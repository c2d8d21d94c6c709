import { expect, test } from 'vitest';

import { DEBIAN, makeRoot, readSamples } from '../testing/fixture.ts';
import { makeLinkSource, parseLink, readLinks } from './link.ts';

test.for([
  // operstate, speed, up, bytes a second
  ['up\n', '1000\n', true, 125_000_000],
  ['up\n', '100000\n', true, 12_500_000_000],
  ['up\n', '-1\n', true, null],
  ['up\n', '4294967295\n', true, null], // a virtual card before Linux 6
  ['unknown\n', '', true, null],
  ['down\n', '', false, null],
  ['lowerlayerdown\n', '10\n', false, 1_250_000],
  ['dormant\n', '0\n', false, null],
  ['', '', false, null],
  ['garbage', '1e9', false, null],
] as const)('parseLink(%o, %o): up %s, %s', ([operstate, speed, isUp, bytesPerSecond]) => {
  expect(parseLink(operstate, speed)).toEqual({ isUp, bytesPerSecond });
});

test('the link source reads a captured machine', async () => {
  expect(await readSamples(makeLinkSource(DEBIAN))).toEqual({ 'system.network.up{network.interface.name=eth0}': 1 });
});

test('readLinks() takes cards and bonds, and of others nothing', () => {
  const root = makeRoot({
    'sys/class/net/eth0/device/uevent': '',
    'sys/class/net/eth0/operstate': 'up\n',
    'sys/class/net/eth0/speed': '1000\n',
    'sys/class/net/bond0/bonding/mode': '',
    'sys/class/net/docker0/operstate': 'down\n',
    'sys/class/net/bonding_masters': 'bond0\n',
  });
  expect(readLinks(root)).toEqual([
    { name: 'bond0', isUp: false, bytesPerSecond: null },
    { name: 'eth0', isUp: true, bytesPerSecond: 125_000_000 },
  ]);
  expect(readLinks(makeRoot({}))).toEqual([]);
});
