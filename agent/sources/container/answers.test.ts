import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import fc from 'fast-check';
import { expect, test } from 'vitest';

import { anyTextLike } from '../../testing/any-text.ts';
import { nameOf, parseEvents, parseInspected, parseList, parseVersion } from './answers.ts';
import { formatInfo } from './sample.ts';
import { parseStats } from './usage.ts';

function readAnswer(path: string): string {
  return readFileSync(join(import.meta.dirname, 'testdata', path), 'utf8');
}

test('parseList() of Docker reads every state, and health where it stands', () => {
  const list = parseList(readAnswer('docker-api/list.json'));
  expect(list?.malformed).toBe(0);
  expect(list?.listed.map(({ name, state, health, image }) => [name, state, health, image.slice(0, 22)])).toEqual([
    ['shop-web-1', 'running', 'healthy', 'registry.example:5000/'],
    ['shop-db-1', 'running', 'starting', 'postgres:17'],
    ['api.2', 'running', 'unhealthy', 'api'],
    ['paused', 'paused', null, 'sha256:5555'],
    ['loop', 'restarting', null, 'busybox'],
    ['once', 'exited', null, 'busybox'],
    ['new', 'created', null, 'busybox'],
    ['going', 'dead', null, 'busybox'],
    ['dead', 'dead', null, 'busybox'],
  ]);
  expect(list?.listed[0]).toMatchObject({ createdMs: 1.7e12, composeProject: 'shop', composeService: 'web' });
});

test('parseList() of Podman reads the same', () => {
  const list = parseList(readAnswer('podman-4.3/list.json'));
  expect(list?.malformed).toBe(0);
  const found = list?.listed.map(({ name, state, composeService }) => [name, state, composeService]);
  expect(found?.toSorted()).toEqual([
    ['c1', 'running', 'web'],
    ['c3', 'exited', null],
    ['c4', 'exited', null],
  ]);
});

const GOOD = {
  Id: 'a'.repeat(64),
  Names: ['/web'],
  Image: 'x',
  Created: 1,
  State: 'running',
  Status: 'Up',
  Labels: {},
};

test.for([
  [{ Id: 'short' }],
  [{ Id: '../'.padEnd(64, 'a') }],
  [{ Names: null }],
  [{ Names: ['/<b>'] }],
  [{ Names: [`/${'a'.repeat(201)}`] }],
  [{ State: 'constructor' }],
  [{ State: 'gone' }],
  [{ Created: '1' }],
  [{ Status: 7 }],
])('parseList() counts an entry with %o as none', ([fault]) => {
  expect(parseList(JSON.stringify([GOOD, { ...GOOD, ...fault }, null]))).toMatchObject({
    listed: [{ name: 'web' }],
    malformed: 2,
  });
});

test.for([
  ['shop-web-1', {}, 'shop-web-1'],
  ['0123456789ab_shop-web-1', { 'com.docker.compose.project': 'shop' }, 'shop-web-1'],
  ['0123456789ab_mine', {}, '0123456789ab_mine'],
  ['api.2.abc', { 'com.docker.swarm.task.id': 'abc' }, 'api.2'],
  ['api.2.abc', { 'com.docker.swarm.task.id': '' }, 'api.2.abc'],
  ['', {}, null],
  ['a=b', {}, null],
] as const)('nameOf(%o, %o) is %o', ([written, labels, name]) => {
  expect(nameOf(written, labels)).toBe(name);
});

test.for([
  ['nginx', 'nginx', ''],
  ['nginx:1.27', 'nginx', '1.27'],
  ['registry.example:5000/a/b', 'registry.example:5000/a/b', ''],
  ['registry.example:5000/a/b:2@sha256:abc', 'registry.example:5000/a/b', '2'],
  ['a/b@sha256:abc', 'a/b', ''],
  ['', '', ''],
])('formatInfo() of the image %o says %o and %o', ([image, name, tags]) => {
  const [one] = parseList(JSON.stringify([{ ...GOOD, Image: image }]))?.listed ?? [];
  expect(one === undefined ? '' : formatInfo(one)).toBe(
    `container.id=aaaaaaaaaaaa,container.image.name=${name},container.image.tags=${tags},container.name=web`,
  );
});

test('parseInspected() of Podman', () => {
  expect(parseInspected(readAnswer('podman-4.3/inspect.json'))).toEqual({
    pid: 23_574,
    startedMs: 1_795_346_414_681,
    restarts: 1,
    exitCode: 0,
    isOomKilled: false,
    health: null,
    hasNetwork: true,
    memoryLimitBytes: 64 * 1024 * 1024,
    cpuLimit: null,
  });
});

const STATE = { Pid: 0, ExitCode: 137, OOMKilled: true, StartedAt: '0001-01-01T00:00:00Z' };

test.for([
  [{ NanoCpus: 1_500_000_000 }, { cpuLimit: 1.5 }],
  [{ CpuQuota: 25_000 }, { cpuLimit: 0.25 }],
  [{ CpuQuota: 25_000, CpuPeriod: 50_000 }, { cpuLimit: 0.5 }],
  [
    { CpuQuota: -1, Memory: -1 },
    { cpuLimit: null, memoryLimitBytes: null },
  ],
  [{ NetworkMode: 'host' }, { hasNetwork: false }],
  [{ NetworkMode: 'container:web' }, { hasNetwork: false }],
  [{ NetworkMode: 'hosted' }, { hasNetwork: true }],
  [{}, { startedMs: null, exitCode: 137, isOomKilled: true, restarts: 2 }],
] as const)('parseInspected() with %o', ([host, expected]) => {
  expect(parseInspected(JSON.stringify({ State: STATE, RestartCount: 2, HostConfig: host }))).toMatchObject(expected);
});

test('parseEvents() of Podman takes deaths with their exit codes', () => {
  const events = parseEvents(readAnswer('podman-4.3/events.ndjson'));
  expect(events.map(({ kind, name, code, atMs }) => [kind, name, code, atMs])).toEqual([
    ['died', 'oom', 137, 1_795_345_687_000],
    ['died', 'st', 137, 1_795_345_687_000],
  ]);
  expect(new Set(events.map(({ key }) => key)).size).toBe(2);
});

test.for([
  [1_795_345_687, 1],
  [0, 1],
  [-1, 0],
  [1.5, 0],
  [2 ** 53, 0],
  [1e300, 0],
] as const)('of an event at %d s there are %i', ([time, count]) => {
  const entry = { Type: 'container', Action: 'oom', time, Actor: { ID: 'a'.repeat(64), Attributes: { name: 'web' } } };
  expect(parseEvents(JSON.stringify(entry))).toHaveLength(count);
});

test.for([
  ['podman-4.3/version.json', 'Podman Engine 4.3.1, API 1.41'],
  ['podman-4.3/list.json', null],
])('parseVersion() of %s', ([path, version]) => {
  expect(parseVersion(readAnswer(path ?? ''))).toBe(version);
});

test.for([
  [
    'docker-api/stats-v2.json',
    { cpu: 2.5, throttled: 0.25, received: 5340, transmitted: 649, read: 4097, written: 12_288 },
    { memoryBytes: 6_537_216, inactiveFileBytes: 1_048_576, threads: 12 },
  ],
  [
    'docker-api/stats-v1.json',
    { cpu: 1, throttled: 0, read: 100, written: 200 },
    { memoryBytes: 6_537_216, inactiveFileBytes: 36_864, threads: 3 },
  ],
  [
    'podman-4.3/stats.json',
    { cpu: 0.026972184, throttled: 0, received: 0, transmitted: 0, read: 0, written: 0 },
    { memoryBytes: 389_120, inactiveFileBytes: null, threads: 1 },
  ],
] as const)('parseStats() of %s', ([path, counts, rest]) => {
  expect(parseStats(readAnswer(path))).toEqual({ counts, ...rest });
});

test.for(['null', '[]', '{}', '{"cpu_stats":{},"memory_stats":{}}', '{"cpu_stats":{"cpu_usage":{"total_usage":0}}}'])(
  'parseStats(%s) is of a container that does not run',
  (text) => {
    expect(parseStats(text)).toBe(null);
  },
);

test.for([
  [parseList, 'docker-api/list.json'],
  [parseInspected, 'podman-4.3/inspect.json'],
  [parseEvents, 'podman-4.3/events.ndjson'],
  [parseStats, 'docker-api/stats-v2.json'],
  [parseVersion, 'podman-4.3/version.json'],
] as const)('%o never throws, whatever an engine says', ([parse, path]) => {
  fc.assert(fc.property(anyTextLike(readAnswer(path)), (text) => void parse(text)));
  fc.assert(fc.property(fc.json(), (text) => void parse(text)));
});
