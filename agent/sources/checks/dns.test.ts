import { createServer, type Server, type Socket } from 'node:net';

import fc from 'fast-check';
import { afterEach, expect, test } from 'vitest';

import { failureOf, look } from '../../testing/probes.ts';
import { nameBytes, openNameServer, RECORD, type Reply } from '../../testing/services.ts';
import type { DnsProbe, RecordType } from './check.ts';
import { formatRecord } from './dns.ts';
import { askServers, isLocalName, makeResolver, parseHosts } from './names.ts';

const servers: { readonly close: () => Promise<void> }[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

async function open(answer: (type: number, name: string) => Reply | null) {
  const server = await openNameServer(answer);
  servers.push(server);
  return `127.0.0.1:${server.port}`;
}

function makeDnsProbe(server: string, type: RecordType = 'A', expected: readonly string[] = []): DnsProbe {
  return { kind: 'dns', domain: 'shop.example', type, server, expect: expected };
}

const ADDRESS = { answers: [[RECORD.A, [203, 0, 113, 7]]] } as const;
const V6 = [0x20, 1, 0xd, 0xb8, ...Array.from({ length: 11 }, () => 0), 1];

const CASES: readonly (readonly [what: string, Reply, RecordType, readonly string[], string | null])[] = [
  ['an address', ADDRESS, 'A', ['203.0.113.7'], null],
  ['another address', ADDRESS, 'A', ['203.0.113.8'], 'answer: the answer is without 203.0.113.8'],
  ['any address', ADDRESS, 'A', [], null],
  ['an address in other words', { answers: [[RECORD.AAAA, V6]] }, 'AAAA', ['2001:DB8:0:0::1'], null],
  ['a name', { answers: [[RECORD.CNAME, nameBytes('www.example')]] }, 'CNAME', ['WWW.example.'], null],
  ['a mail server', { answers: [[RECORD.MX, [0, 10, ...nameBytes('mail.example')]]] }, 'MX', ['10 mail.example'], null],
  [
    'a service',
    { answers: [[RECORD.SRV, [0, 1, 0, 2, 0, 3, ...nameBytes('sip.example')]]] },
    'SRV',
    ['1 2 3 sip.example'],
    null,
  ],
  ['a text in parts', { answers: [[RECORD.TXT, [2, 97, 98, 1, 99]]] }, 'TXT', ['abc'], null],
  ['NXDOMAIN', { code: 3 }, 'A', [], 'dns: there is no such name (NXDOMAIN)'],
  ['SERVFAIL', { code: 2 }, 'A', [], 'dns: the name server failed (SERVFAIL)'],
  ['REFUSED', { code: 5 }, 'A', [], 'dns: the name server refused (REFUSED)'],
  ['NOTIMP', { code: 4 }, 'A', [], 'dns: the name server does not know how (NOTIMP)'],
  ['nothing', {}, 'A', [], 'dns: the name has no such record'],
  [
    'an address that is cut short',
    { answers: [[RECORD.A, [203, 0]]] },
    'A',
    [],
    'dns: the answer of the name server is malformed',
  ],
  [
    'a name that leads back to itself',
    { answers: [[RECORD.CNAME, [0xc0, 42]]] },
    'CNAME',
    [],
    'dns: the answer of the name server is malformed',
  ],
];

test.for(CASES)('a name server that answers with %s', async ([, reply, type, expected, failure]) => {
  const server = await open(() => reply);
  expect(failureOf(await look(makeDnsProbe(server, type, expected)))).toBe(failure);
});

test.for([
  ['nothing at all', null],
  [
    'the number of another question',
    { ...ADDRESS, broken: (bytes) => (bytes.writeUInt16BE(bytes.readUInt16BE() ^ 1), bytes) },
  ],
  ['another question', { ...ADDRESS, broken: (bytes) => (bytes.write('evil', 13), bytes) }],
] as readonly (readonly [string, Reply | null])[])(
  'a name server that answers with %s is not believed, and given up',
  async ([, reply]) => {
    const server = await open(() => reply);
    expect(failureOf(await look(makeDnsProbe(server), 300))).toMatch(
      /^(timeout: over 0.3 s while its name was looked up|dns: the name server does not answer)$/,
    );
  },
);

test('a name server whose answer is too long for a datagram is asked again over TCP', async () => {
  const tcp = createServer((socket: Socket) => {
    socket.once('data', (query: Buffer) => {
      const reply = Buffer.from(query.subarray(0, query.indexOf(0, 14) + 5));
      reply.writeUInt16BE(0x8180, 4);
      reply.writeUInt16BE(1, 8);
      reply.writeUInt32BE(0, 10);
      const whole = Buffer.concat([reply, Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 203, 0, 113, 7])]);
      whole.writeUInt16BE(whole.length - 2, 0);
      socket.end(whole);
    });
  });
  // A port that is free for datagrams may be somebody's for connections.
  let server = '';
  do server = await open(() => ({ isTruncated: true }));
  while (!(await canListen(tcp, Number(server.split(':')[1]))));
  expect(failureOf(await look(makeDnsProbe(server, 'A', ['203.0.113.7'])))).toBe(null);
  tcp.close();
});

function canListen(server: Server, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => resolve(true));
  });
}

test.for([
  // what, IPv4, IPv6, found
  ['both', ADDRESS, { answers: [[RECORD.AAAA, V6]] }, ['2001:db8::1', '203.0.113.7']],
  ['one, and not the other', ADDRESS, {}, ['203.0.113.7']],
  ['one, and the other question is not answered', ADDRESS, null, ['203.0.113.7']],
  ['none', {}, { code: 3 }, 'dns: the name has no such record, unknown'],
  ['none, and one question fails', { code: 2 }, {}, 'dns: the name server failed (SERVFAIL), known'],
] as readonly (readonly [string, Reply | null, Reply | null, string | readonly string[]])[])(
  'askServers() where there are %s',
  async ([, four, six, expected]) => {
    const server = await open((type) => (type === RECORD.A ? four : six));
    const over = new AbortController();
    const resolver = makeResolver(20_000, over.signal);
    resolver.setServers([server]);
    const found = await askServers('shop.example', 0, resolver);
    over.abort();
    const text = (failed: typeof found & { readonly ok: false }) =>
      `${failed.error.failure.type}: ${failed.error.failure.words}, ${failed.error.isUnknown ? 'unknown' : 'known'}`;
    expect(found.ok ? found.value.map(({ address }) => address) : text(found)).toEqual(expected);
  },
);

test('parseHosts() knows every name of an address, and all addresses of a name', () => {
  const hosts = parseHosts('127.0.0.1\tlocalhost Web # not this\n#10.0.0.1 none\n::1 localhost\n1.2.3 x\n');
  expect([...hosts]).toEqual([
    [
      'localhost',
      [
        { address: '127.0.0.1', family: 4 },
        { address: '::1', family: 6 },
      ],
    ],
    ['web', [{ address: '127.0.0.1', family: 4 }]],
  ]);
});

test('parseHosts() and formatRecord() never throw', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary-ascii' }), (text) => void parseHosts(text)));
  fc.assert(fc.property(fc.anything(), (record) => typeof formatRecord(record) === 'string'));
});

test.for([
  ['db', true],
  ['printer.local', true],
  ['printer.LOCAL', true],
  ['db.example', false],
  ['local.example', false],
] as const)('the system is asked for %s whatever the name servers say: %s', ([host, isLocal]) => {
  expect(isLocalName(host)).toBe(isLocal);
});
