import { expect, test } from 'vitest';

import { parseConfig } from '../../config.ts';

const FILE = '/etc/muster/agent.yaml';

/** The checks of a configuration, or its faults. */
function parse(text: string, more: Readonly<Record<string, string>> = {}) {
  const files: Readonly<Record<string, string>> = { [FILE]: text, ...more };
  const readFile = (path: string) => files[path] ?? '';
  const listFiles = () => Object.keys(more).map((path) => path.split('/').at(-1) ?? '');
  const config = parseConfig({ argv: ['--config', FILE], env: {}, readFile, listFiles }, 'the-host');
  return config.ok ? config.value.checks : config.error;
}

test('a check of each kind, with what is meant where nothing is said', () => {
  const text = `checks:
  - { name: shop, http: "https://Shop.example/health#x" }
  - { name: db, tcp: "db.internal:5432", family: 6, every: 2s }
  - { name: resolver, dns: example.com }
  - { name: cert, tls: "[::1]:443", service: shop, timeout: 1s }
`;
  const tls = { serverName: null, caFile: null, isInsecure: false };
  const often = { everyMs: 30_000, timeoutMs: 5_000 };
  expect(parse(text)).toEqual([
    {
      name: 'shop',
      service: 'shop',
      ...often,
      probe: {
        kind: 'http',
        url: 'https://shop.example/health',
        method: 'GET',
        family: 0,
        tls,
        headers: [],
        headerFile: null,
        isFollowing: false,
        status: [[200, 299]],
        body: null,
        bodyPattern: null,
      },
    },
    {
      name: 'db',
      service: 'db',
      everyMs: 2_000,
      timeoutMs: 2_000,
      probe: { kind: 'tcp', address: { host: 'db.internal', port: 5432 }, family: 6 },
    },
    {
      name: 'resolver',
      service: 'resolver',
      ...often,
      probe: { kind: 'dns', domain: 'example.com', type: 'A', server: null, expect: [] },
    },
    {
      name: 'cert',
      service: 'shop',
      everyMs: 30_000,
      timeoutMs: 1_000,
      probe: { kind: 'tls', address: { host: '::1', port: 443 }, family: 0, tls },
    },
  ]);
});

test('everything may be said', () => {
  const text = `checks:
  - name: shop
    http: http://10.0.0.5:8080/?deep=1
    method: GET
    status: [200, 3xx]
    body: '"ok":true'
    body-pattern: v\\d+
    headers: { Authorization: Bearer x, X-Count: 7 }
    header-file: /etc/muster/shop.headers
    server-name: shop.example
    ca-file: /etc/ssl/own.pem
    insecure-tls: true
    follow: true
  - { name: resolver, dns: example.com, server: "10.0.0.2:53", type: MX, expect: [10 a.example, 20 b.example] }
`;
  expect(parse(text)).toMatchObject([
    {
      probe: {
        status: [
          [200, 200],
          [300, 399],
        ],
        body: '"ok":true',
        bodyPattern: /v\d+/,
        headers: [
          ['Authorization', 'Bearer x'],
          ['X-Count', '7'],
        ],
        headerFile: '/etc/muster/shop.headers',
        tls: { serverName: 'shop.example', caFile: '/etc/ssl/own.pem', isInsecure: true },
        isFollowing: true,
      },
    },
    { probe: { server: '10.0.0.2:53', type: 'MX', expect: ['10 a.example', '20 b.example'] } },
  ]);
});

const HEADERS = 'a map of up to 32 headers of a request, each one line of ASCII, none that says how long it is';

test.for([
  ['{ name: x }', 'checks.0 must be a map with one of http, tcp, tls, dns, which says what is looked at'],
  ['x', 'checks.0 must be a map with one of http, tcp, tls, dns, which says what is looked at'],
  ['{ tcp: "a:1" }', 'checks.0.name must be given: it is what the check is known by'],
  ['{ name: x, tcp: a }', 'checks.0.tcp must be a host and its port, such as db.internal:5432 or [::1]:22, was "a"'],
  [
    '{ name: x, tcp: "a:70000" }',
    'checks.0.tcp must be a host and its port, such as db.internal:5432 or [::1]:22, was "a:70000"',
  ],
  [
    '{ name: x, tcp: "a b:1" }',
    'checks.0.tcp must be a host and its port, such as db.internal:5432 or [::1]:22, was "a b:1"',
  ],
  ['{ name: x, tcp: "a:1", body: y }', 'checks.0 has no body; it may have name, service, every, timeout, family, tcp'],
  ['{ name: x, tcp: "a:1", every: 500ms }', 'checks.0.every must be a time from 1s to 1d, such as 1s, was "500ms"'],
  [
    '{ name: x, tcp: "a:1", every: 2s, timeout: 3s }',
    'checks.0.timeout must be at most as long as "every": a check never overlaps itself',
  ],
  ['{ name: x, http: "ftp://hidden" }', 'checks.0.http must be an address such as https://shop.example/health'],
  [
    '{ name: x, http: "https://me:hidden@shop.example" }',
    'checks.0.http must be an address without a password: headers or header-file have it',
  ],
  ['{ name: x, http: "http://a", headers: { Authorization: "hidden\\nx: y" } }', `checks.0.headers must be ${HEADERS}`],
  ['{ name: x, http: "http://a", headers: { Content-Length: hidden } }', `checks.0.headers must be ${HEADERS}`],
  ['{ name: x, http: "http://a", headers: hidden }', `checks.0.headers must be ${HEADERS}`],
  [
    '{ name: x, http: "http://a", headers: { a: hidden }, timeout: 1m }',
    'checks.0.timeout must be at most as long as "every": a check never overlaps itself',
  ],
  [
    '{ name: x, http: "http://a", status: 2x }',
    'checks.0.status must be a status such as 200 or 2xx, or a list of them, was "2x"',
  ],
  [
    '{ name: x, http: "http://a", body-pattern: "(" }',
    'checks.0.body-pattern must be a regular expression as JavaScript has them, was "("',
  ],
  [
    '{ name: x, http: "http://a", body: x, method: HEAD }',
    'checks.0.method must be GET, to find something in the body: HEAD is answered without one',
  ],
  [
    '{ name: x, http: "http://a", ca-file: own.pem }',
    'checks.0.ca-file must be a path that begins with /, was "own.pem"',
  ],
  [
    '{ name: x, dns: example.com, server: ns.example }',
    'checks.0.server must be an IP address, such as 10.0.0.2 or 10.0.0.2:53, was "ns.example"',
  ],
  [
    '{ name: x, http: "http://a/", method: POST, follow: true }',
    'checks.0.follow must be false, or the method GET or HEAD: no other is sent on to another address',
  ],
  [
    '{ name: x, dns: example.com, type: AXFR }',
    'checks.0.type must be A or AAAA or CNAME or MX or NS or PTR or SRV or TXT, was "AXFR"',
  ],
] as const)('the check %s: %s', ([check, fault]) => {
  expect(parse(`name: web-1\nchecks:\n  - ${check}\n`)).toEqual([`${FILE}:3: ${fault}`]);
});

test('a ping is refused with what to do instead', () => {
  expect(parse('checks:\n  - { name: x, ping: a }\n')).toEqual([
    expect.stringMatching(/CAP_NET_RAW.*"tcp: host:port" with a port/),
  ]);
});

test('checks of several files are put together, and a name stands for one of them', () => {
  const one = 'checks:\n  - { name: a, tcp: "a:1" }\n  - { name: b, tcp: "a:1" }\n';
  const more = 'checks:\n  - name: c\n    tcp: a:1\n';
  expect(parse(one, { '/etc/muster/agent.d/10-c.yaml': more })).toMatchObject([
    { name: 'a' },
    { name: 'b' },
    { name: 'c' },
  ]);
  expect(parse(one, { '/etc/muster/agent.d/10-c.yaml': more.replace('name: c', 'name: b') })).toEqual([
    `/etc/muster/agent.d/10-c.yaml:2: there is a check of the name "b" already, at ${FILE}:3`,
  ]);
  // Both faults at once.
  expect(parse('checks:\n  - { name: a, http: "http://me:secret@a/" }\n  - { name: a, tcp: "a:1" }\n')).toEqual([
    expect.stringMatching(/:2: .*http/),
    `${FILE}:3: there is a check of the name "a" already, at ${FILE}:2`,
  ]);
});

test('there are 200 checks at most', () => {
  const checks = (count: number) =>
    `checks:\n${Array.from({ length: count }, (_, i) => `  - { name: c${i}, tcp: "a:1" }\n`).join('')}`;
  expect(parse(checks(200))).toHaveLength(200);
  expect(parse(checks(201))).toEqual([`${FILE}:202: there are 201 checks, more than 200`]);
});
