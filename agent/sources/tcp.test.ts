import fc from 'fast-check';
import { expect, test } from 'vitest';

import { anyTextLike } from '../testing/any-text.ts';
import { DEBIAN, makeRoot, readFixture, readSamples } from '../testing/fixture.ts';
import { makeTcpSource, parseTcp, readTcp } from './tcp.ts';

test('the tcp source reads a captured machine by the names of the columns', async () => {
  const [names = [], values = []] = readFixture('proc/net/snmp')
    .split('\n')
    .filter((line) => line.startsWith('Tcp:'))
    .map((line) => line.split(' '));
  const samples = await readSamples(makeTcpSource(DEBIAN));
  expect(samples['system.network.tcp.retransmits{}']).toBe(Number(values[names.indexOf('RetransSegs')]));
  expect(samples['system.network.tcp.segments{network.io.direction=transmit}']).toBe(
    Number(values[names.indexOf('OutSegs')]),
  );
  expect(Object.keys(samples)).toContain('system.network.tcp.listen_overflows{}');
});

const SNMP = 'Ip: Forwarding\nIp: 1\nTcp: RtoAlgorithm MaxConn InSegs OutSegs RetransSegs\nTcp: 1 -1 10 20 3\n';
const TCP = { received: 10, sent: 20, retransmitted: 3, opened: 0, accepted: 0, failed: 0, reset: 0 };

test.for([
  // what, snmp, netstat, TCP or why there is none
  ['an old kernel', SNMP, '', { ...TCP, listenOverflows: null }],
  [
    'more columns',
    SNMP,
    'TcpExt: A ListenOverflows B\nTcpExt: 1 7 2\nIpExt: A\nIpExt: 1\n',
    { ...TCP, listenOverflows: 7 },
  ],
  ['fewer values than names', SNMP, 'TcpExt: A ListenOverflows\nTcpExt: 1\n', { ...TCP, listenOverflows: null }],
  ['a line cut short', SNMP.slice(0, -1), '', 'proc/net/snmp has no Tcp line with InSegs, OutSegs and RetransSegs'],
  ['nothing', '', '', 'proc/net/snmp has no Tcp line with InSegs, OutSegs and RetransSegs'],
] as const)('parseTcp() of %s', ([, snmp, netstat, expected]) => {
  const tcp = parseTcp(snmp, netstat);
  expect(tcp.ok ? tcp.value : tcp.error).toEqual(expected);
});

test('readTcp() says that there is no file, and parseTcp() never throws', () => {
  expect(readTcp(makeRoot({}))).toEqual({ ok: false, error: 'there is no proc/net/snmp' });
  const texts = [anyTextLike(readFixture('proc/net/snmp')), anyTextLike(readFixture('proc/net/netstat'))] as const;
  fc.assert(fc.property(...texts, (snmp, netstat) => void parseTcp(snmp, netstat)));
});
