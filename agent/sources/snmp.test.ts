import { expect, test } from 'vitest';

import { parseSnmp } from './snmp.ts';

test.for([
  ['Tcp: A\nTcp: 1\nUdp: InDatagrams NoPorts InErrors\nUdp: 5 7 1\n', { InDatagrams: 5, NoPorts: 7, InErrors: 1 }],
  ['Udp: InDatagrams NoPorts\nUdp: 5\n', { InDatagrams: 5 }],
  ['Udp: InDatagrams NoPorts\nUdp: x -1\n', {}],
  ['UdpLite: InDatagrams\nUdpLite: 5\n', {}],
  ['', {}],
] as const)('parseSnmp() of %j, for Udp, gives %j', ([text, fields]) => {
  expect(Object.fromEntries(parseSnmp(text, 'Udp'))).toEqual(fields);
});
