import fc from 'fast-check';
import { expect, test } from 'vitest';

import { isBoundTo, parseBoundSockets } from './port-holder.ts';

// Written after /proc/net/udp of Linux 6.1 and the kernel document networking/proc_net_tcp.
const UDP = `   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  123: 0100007F:1FBD 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4242 2 0000000000000000 17
  124: 0100007F:1FBE 0100007F:0009 01 00000000:00000000 00:00000000 00000000     0        0 4243 2 0000000000000000 0
`;
test('parseBoundSockets() reads ports, inodes and drops', () => {
  expect(parseBoundSockets(UDP, 'udp')).toEqual([
    { addressHex: '0100007F', port: 8125, inode: '4242', drops: 17 },
    { addressHex: '0100007F', port: 8126, inode: '4243', drops: 0 },
  ]);
  expect(parseBoundSockets(UDP, 'tcp')).toEqual([]);
  fc.assert(fc.property(fc.nat(UDP.length), (end) => void parseBoundSockets(UDP.slice(0, end), 'udp')));
});

test.for([
  ['0100007F', '127.0.0.1', true],
  ['0100007F', '127.0.0.2', false],
  ['00000000', '0.0.0.0', true],
  ['00000000000000000000000001000000', '::1', true],
  ['00000000000000000000000001000000', '0:0:0:0:0:0:0:1', true],
  ['00000000000000000000000000000000', '::1', false],
  ['00000000000000000000000000000000', '0.0.0.0', false],
  ['0100007F', '::1', false],
  ['000080FE00000000FFBA5A02F30E6CFE', 'fe80::25a:baff:fe6c:ef3%eth0', true],
] as const)('isBoundTo() of %s and %s is %s', ([addressHex, address, expected]) => {
  expect(isBoundTo({ addressHex, port: 1, inode: '1', drops: 0 }, address)).toBe(expected);
});
