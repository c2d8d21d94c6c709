import fc from 'fast-check';
import { expect, test } from 'vitest';

import { anyTextLike } from '../testing/any-text.ts';
import { readFixture } from '../testing/fixture.ts';
import { parseSnmp, parseSnmp6 } from './snmp.ts';

test.for([
  // text, protocol, counts
  [
    'Tcp: A\nTcp: 1\nUdp: InDatagrams NoPorts\nUdp: 5 7\nUdpLite: NoPorts\nUdpLite: 9\n',
    'Udp',
    { InDatagrams: 5, NoPorts: 7 },
  ],
  ['Tcp: RtoMin MaxConn InSegs\nTcp: 200 -1 3\n', 'Tcp', { RtoMin: 200, InSegs: 3 }],
  ['Udp: InDatagrams NoPorts\nUdp: 5\n', 'Udp', { InDatagrams: 5 }],
  ['Udp: InDatagrams\nUdp: 5', 'Udp', {}],
  ['', 'Udp', {}],
] as const)('parseSnmp() of %j, %s, is %j', ([text, protocol, expected]) => {
  expect(Object.fromEntries(parseSnmp(text, protocol))).toEqual(expected);
});

test('parseSnmp() reads a captured machine, and never throws', () => {
  expect([...parseSnmp(readFixture('proc/net/snmp'), 'Udp').keys()]).toContain('NoPorts');
  fc.assert(fc.property(anyTextLike(readFixture('proc/net/snmp')), (text) => void parseSnmp(text, 'Tcp')));
});

test('parseSnmp6() finds each count by its name', () => {
  const text = 'Udp6InDatagrams  \t4\nUdp6NoPorts                     \t9\nUdp6InErrors \tx\nIp6 \t1';
  expect(Object.fromEntries(parseSnmp6(text))).toEqual({ Udp6InDatagrams: 4, Udp6NoPorts: 9 });
  fc.assert(fc.property(anyTextLike(text), (broken) => void parseSnmp6(broken)));
});
