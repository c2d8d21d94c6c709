import fc from 'fast-check';
import { expect, test } from 'vitest';

import { anyTextLike } from '../testing/any-text.ts';
import { DEBIAN, makeRoot, readFixture, readSamples } from '../testing/fixture.ts';
import { countStates, makeConnectionSource, parseSockets, readConnections, type TcpState } from './connection.ts';

const SOCKSTAT = (timeWait: number, allocated: number) =>
  `sockets: used 29\nTCP: inuse 1 orphan 0 tw ${timeWait} alloc ${allocated} mem 209\nUDP: inuse 0 mem 0\n`;

test('the connection source counts the sockets of a captured machine by state', async () => {
  const lines = readFixture('proc/net/tcp').split('\n');
  const samples = await readSamples(makeConnectionSource(DEBIAN));
  const label = (state: string) =>
    `system.network.connection.count{network.connection.state=${state},network.transport=tcp}`;
  expect(samples[label('time_wait')]).toBe(lines.filter((line) => / 06 /.test(line.slice(0, 40))).length);
  expect(samples[label('listen')]).toBe(lines.filter((line) => / 0A /.test(line.slice(0, 40))).length);
  expect(samples[label('close_wait')]).toBe(0);
});

test.for([
  // a line of /proc/net/tcp or tcp6, its state
  ['   0: 00000000:07E8 00000000:0000 0A 00000000:00000000 00:00000000 00000000', 'listen'],
  ['  12: 0100007F:AA1B 0100007F:C4D4 01 00000000:00000000 00:00000000 00000000', 'established'],
  ['   1: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 0:0', 'listen'],
  ['1234567: 0100007F:AA1B 0100007F:C4D4 0C 00000000:00000000', 'syn_received'],
  ['   1: 0100007F:AA1B 0100007F:C4D4 FF 00000000:00000000', null],
  ['   1: 0100007F:AA1B 0100007F:C4D4 00 00000000:00000000', null],
  ['  sl  local_address rem_address   st tx_queue', null],
] as const)('countStates() of %s is %s', ([line, state]) => {
  const counts = new Map<TcpState, number>();
  countStates(`${line}\n`, counts);
  expect([...counts]).toEqual(state === null ? [] : [[state, 1]]);
});

test('with many sockets the list of them is not read', () => {
  const root = makeRoot({
    'proc/net/sockstat': SOCKSTAT(9_000, 2_000),
    'proc/net/snmp': 'Tcp: ActiveOpens CurrEstab\nTcp: 5 1234\n',
    'proc/net/tcp': readFixture('proc/net/tcp'),
  });
  const found = readConnections(root);
  expect(found.ok && [...found.value.counts]).toEqual([
    ['time_wait', 9_000],
    ['established', 1_234],
  ]);
  expect(found.ok && found.value.isPart).toBe(true);
});

test('readConnections() says that there is no sockstat, and its parts never throw', () => {
  expect(readConnections(makeRoot({}))).toEqual({ ok: false, error: 'proc/net/sockstat has no TCP line' });
  fc.assert(fc.property(anyTextLike(readFixture('proc/net/tcp')), (text) => countStates(text, new Map())));
  fc.assert(fc.property(anyTextLike(SOCKSTAT(1, 2)), (text) => void parseSockets(text)));
});
