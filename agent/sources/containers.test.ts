import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';

import * as v from 'valibot';
import { afterEach, expect, test } from 'vitest';

import {
  idOf,
  makeCgroupFiles,
  openStandInEngine,
  watching,
  type Responder,
  type StandInContainer,
} from '../testing/engine.ts';
import { findSampleFault, makeRoot, readSamples } from '../testing/fixture.ts';
import type { Source } from '../source.ts';
import { CONTAINER_SETTINGS, makeContainerSource, openContainerSource } from './containers.ts';

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

const HOUR_MS = 3_600_000;
const START_MS = 1_000 * HOUR_MS;

async function openEngine(...containers: readonly StandInContainer[]) {
  const engine = await openStandInEngine();
  closing.push(engine.close);
  engine.setContainers(...containers);
  return engine;
}

function watch(socket: string | undefined, root = makeRoot({}), clock = { nowMs: START_MS }): Source {
  const source = makeContainerSource(watching(socket, root, () => clock.nowMs));
  closing.push(async () => source.close?.());
  return source;
}

function writeFiles(root: string, files: Readonly<Record<string, string>>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(root, dirname(path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
}

const WEB = {
  id: idOf('a'),
  name: 'shop-web-1',
  createdMs: START_MS - 2 * HOUR_MS,
  status: 'Up 2 hours (healthy)',
  labels: { 'com.docker.compose.project': 'shop', 'com.docker.compose.service': 'web' },
  inspected: { Pid: 77, RestartCount: 3, Health: { Status: 'healthy' } },
  host: { Memory: 1_048_576, NanoCpus: 500_000_000 },
};

test('a container is described by the engine, and what it uses by the kernel', async () => {
  const job = {
    id: idOf('b'),
    name: 'job',
    state: 'exited',
    status: 'Exited (7) 3 days ago',
    inspected: { ExitCode: 7 },
  };
  const engine = await openEngine(WEB, job);
  const root = makeRoot(makeCgroupFiles(WEB.id, 77, { cpuSeconds: 5, memoryBytes: 525_312 }));
  const source = watch(engine.socket, root);
  await source.read();
  writeFiles(root, makeCgroupFiles(WEB.id, 77, { cpuSeconds: 8, memoryBytes: 525_312, receivedBytes: 100 }));
  const reading = await source.read();
  expect(reading.ok && reading.value.samples.flatMap((sample) => findSampleFault(sample) ?? [])).toEqual([]);
  expect(await readSamples(source)).toEqual({
    'container.count{container.state=created}': 0,
    'container.count{container.state=running}': 1,
    'container.count{container.state=paused}': 0,
    'container.count{container.state=restarting}': 0,
    'container.count{container.state=exited}': 1,
    'container.count{container.state=dead}': 0,
    'container.state{container.name=shop-web-1,container.state=running}': 1,
    'container.health{container.health=healthy,container.name=shop-web-1}': 1,
    [`container.info{com.docker.compose.project=shop,com.docker.compose.service=web,container.id=aaaaaaaaaaaa,container.image.name=docker.io/library/nginx,container.image.tags=1.27,container.name=shop-web-1}`]: 1,
    'container.restart.count{container.name=shop-web-1}': 3,
    'container.uptime{container.name=shop-web-1}': 7_199.999,
    'container.cpu.limit{container.name=shop-web-1}': 0.5,
    'container.memory.limit{container.name=shop-web-1}': 1_048_576,
    'container.thread.count{container.name=shop-web-1}': 7,
    'container.memory.usage{container.name=shop-web-1}': 525_312,
    'container.memory.working_set{container.name=shop-web-1}': 524_288,
    'container.memory.utilization{container.name=shop-web-1}': 0.5,
    'container.cpu.time{container.name=shop-web-1}': 3,
    'container.cpu.throttled_time{container.name=shop-web-1}': 0,
    'container.memory.oom_kills{container.name=shop-web-1}': 0,
    'container.network.io{container.name=shop-web-1,network.io.direction=receive}': 100,
    'container.network.io{container.name=shop-web-1,network.io.direction=transmit}': 0,
    'container.disk.io{container.name=shop-web-1,disk.io.direction=read}': 0,
    'container.disk.io{container.name=shop-web-1,disk.io.direction=write}': 0,
    'container.state{container.name=job,container.state=exited}': 1,
    [`container.info{container.id=bbbbbbbbbbbb,container.image.name=docker.io/library/nginx,container.image.tags=1.27,container.name=job}`]: 1,
    'container.restart.count{container.name=job}': 0,
    'container.exit_code{container.name=job}': 7,
  });
});

test('a container that nothing happens to is asked about once', async () => {
  const engine = await openEngine(WEB);
  const source = watch(engine.socket, makeRoot(makeCgroupFiles(WEB.id, 77)));
  for (let i = 0; i < 5; i += 1) await source.read();
  expect(engine.asked.filter((path) => path === `/containers/${WEB.id}/json`)).toHaveLength(1);
  expect(engine.asked.filter((path) => path.endsWith('/stats'))).toEqual([]);
  engine.setContainers({ ...WEB, status: 'Up 3 seconds', inspected: { RestartCount: 4 } });
  expect((await readSamples(source))['container.restart.count{container.name=shop-web-1}']).toBe(4);
});

test('a container that is made anew under its name goes on counting, and what it counted before is no spike', async () => {
  const clock = { nowMs: START_MS };
  const engine = await openEngine(WEB);
  const root = makeRoot(makeCgroupFiles(WEB.id, 77, { cpuSeconds: 500 }));
  const source = watch(engine.socket, root, clock);
  const times: (number | undefined)[] = [];
  const read = async () => times.push((await readSamples(source))['container.cpu.time{container.name=shop-web-1}']);
  const replace = (id: string, pid: number, createdMs: number, cpuSeconds: number) => {
    engine.setContainers({ ...WEB, id, createdMs, inspected: { Pid: pid } });
    writeFiles(root, makeCgroupFiles(id, pid, { cpuSeconds }));
  };
  await read();
  clock.nowMs += 10_000;
  replace(idOf('c'), 78, clock.nowMs - 5_000, 2); // began since: all that it has used is new
  await read();
  clock.nowMs += 10_000;
  replace(idOf('d'), 79, START_MS - HOUR_MS, 90_000); // another one, with a past, renamed to that name
  await read();
  clock.nowMs += 10_000;
  writeFiles(root, makeCgroupFiles(idOf('d'), 79, { cpuSeconds: 90_001 }));
  await read();
  engine.setContainers();
  await read();
  expect(times).toEqual([0, 2, 2, 3, undefined]);
});

test('a pid that has become another process gives no numbers of that process', async () => {
  const engine = await openEngine(WEB, { ...WEB, id: idOf('b'), name: 'other', inspected: { Pid: 78 } });
  const root = makeRoot({ ...makeCgroupFiles(WEB.id, 77), ...makeCgroupFiles(idOf('c'), 78, { receivedBytes: 1e12 }) });
  const samples = await readSamples(watch(engine.socket, root));
  expect(Object.keys(samples).filter((key) => /cpu\.time|network/.test(key) && key.includes('name=other'))).toEqual([]);
  expect(samples['container.cpu.time{container.name=shop-web-1}']).toBe(0);
});

test('a container in the network of the host is not said to carry its traffic', async () => {
  const engine = await openEngine({ ...WEB, host: { NetworkMode: 'host' } });
  const samples = await readSamples(watch(engine.socket, makeRoot(makeCgroupFiles(WEB.id, 77, { receivedBytes: 9 }))));
  expect(Object.keys(samples).filter((key) => key.includes('network'))).toEqual([]);
});

test('where control groups cannot be seen the engine is asked, and the remark says so', async () => {
  const engine = await openEngine(WEB);
  const stats = {
    cpu_stats: { cpu_usage: { total_usage: 2e9 } },
    memory_stats: { usage: 5000, stats: { inactive_file: 1000 } },
  };
  engine.answers.set(`/containers/${WEB.id}/stats`, stats);
  const source = watch(engine.socket);
  expect(await readSamples(source)).toMatchObject({
    'container.cpu.time{container.name=shop-web-1}': 0,
    'container.memory.working_set{container.name=shop-web-1}': 4000,
  });
  const reading = await source.read();
  expect(reading.ok && reading.value.remark).toContain('their control groups cannot be seen');
});

test('deaths, kills for want of memory and failed health checks are told, once and with the name', async () => {
  const clock = { nowMs: START_MS };
  const engine = await openEngine(WEB);
  const source = watch(engine.socket, makeRoot({}), clock);
  await source.read();
  const attributes = { name: 'shop-web-1', exitCode: '137', 'com.docker.compose.project': 'shop' };
  const events = ['oom', 'die'].map((Action) => {
    const Actor = { ID: WEB.id, Attributes: attributes };
    return `${JSON.stringify({ Type: 'container', Action, Actor, time: START_MS / 1000 })}\n`;
  });
  engine.answers.set('/events', events.join(''));
  const Health = { Status: 'unhealthy' };
  engine.setContainers({ ...WEB, status: 'Up 1 second (unhealthy)', inspected: { Pid: 78, Health } });
  clock.nowMs += 10_000;
  const told = await source.read();
  expect(told.ok && told.value.events?.map(({ kind, ...rest }) => [kind, 'subject' in rest && rest.subject])).toEqual([
    ['container-oom', 'shop-web-1: a process was killed for want of memory'],
    ['container-died', 'shop-web-1: exited with 137'],
    ['container-unhealthy', 'shop-web-1: its health check fails'],
  ]);
  const again = await source.read();
  expect(again.ok && again.value.events).toEqual([]);
});

test('a container that was stopped is not unhealthy, whatever its engine calls it', async () => {
  const clock = { nowMs: START_MS };
  const engine = await openEngine(WEB);
  const source = watch(engine.socket, makeRoot({}), clock);
  expect(Object.keys(await readSamples(source)).filter((series) => series.includes('container.health'))).toHaveLength(
    1,
  );
  const Health = { Status: 'unhealthy' };
  engine.setContainers({ ...WEB, state: 'exited', status: 'Exited (0) 1 second ago', inspected: { Pid: 0, Health } });
  clock.nowMs += 10_000;
  const reading = await source.read();
  expect(reading.ok && reading.value.events).toEqual([]);
  expect(
    reading.ok && reading.value.samples.filter(({ metric, value }) => metric === 'container.health' && value === 1),
  ).toEqual([]);
});

const UNDONE: Responder = () => undefined;
const ENDLESS: Responder = (_request, response) => {
  const timer = setInterval(() => response.write(' '.repeat(1024)), 1);
  response.on('close', () => clearInterval(timer));
};
const HUGE: Responder = (_request, response) => void response.end(`[${'1,'.repeat(5 * 1024 * 1024)}1]`);
const BROKEN: Responder = (_request, response) => {
  response.statusCode = 500;
  response.end('{"message":"containerd is gone"}');
};
const CUT: Responder = (request) => void request.socket.destroy();

test.for([
  ['hangs', UNDONE, 'does not answer all that it is asked within 1 s'],
  ['never ends', ENDLESS, 'does not answer all that it is asked within 1 s'],
  ['says too much', HUGE, 'answers with more than 8388608 bytes'],
  ['fails', BROKEN, 'answers with 500: {"message":"containerd is gone"}'],
  ['hangs up', CUT, 'cannot be asked: socket hang up'],
  ['says garbage', '<html>', 'is no container engine: it gives no list of containers'],
  ['says null', 'null', 'is no container engine: it gives no list of containers'],
] as const)('an engine that %s is said to, and is read again when it is well', async ([, answer, error]) => {
  const engine = await openEngine(WEB);
  engine.answers.set('/containers/json', answer);
  const source = watch(engine.socket);
  const reading = await source.read();
  expect(reading.ok ? '' : reading.error).toContain(error);
  expect(reading.ok ? '' : reading.error).toContain(engine.socket);
  engine.setContainers(WEB);
  expect(await readSamples(source)).toMatchObject({ 'container.count{container.state=running}': 1 });
});

test.for([
  ['/events', BROKEN, 'what happens to containers is not known'],
  [`/containers/${WEB.id}/json`, BROKEN, 'answers with 500'],
  [`/containers/${WEB.id}/json`, 'null', 'does not say how a container is'],
] as const)('the rest is read when %s fails', async ([path, answer, remark]) => {
  const engine = await openEngine(WEB);
  engine.answers.set(path, answer);
  const source = watch(engine.socket, makeRoot(makeCgroupFiles(WEB.id, 77)));
  await source.read();
  const reading = await source.read();
  expect(reading.ok && reading.value.remark).toContain(remark);
  expect(await readSamples(source)).toMatchObject({
    'container.state{container.name=shop-web-1,container.state=running}': 1,
  });
});

test('entries that are none, and containers that are gone by the time they are asked about, disturb nothing', async () => {
  const engine = await openEngine(WEB, { id: '../../etc', name: 'x' }, { id: idOf('b'), name: 'gone' });
  engine.answers.delete(`/containers/${idOf('b')}/json`);
  const source = watch(engine.socket, makeRoot(makeCgroupFiles(WEB.id, 77)));
  const reading = await source.read();
  expect(reading.ok && reading.value.remark).toBe(
    'containers that the engine describes in an unknown way are left out',
  );
  expect(await readSamples(source)).toMatchObject({ 'container.count{container.state=running}': 2 });
  expect(engine.asked.filter((path) => path.includes('..'))).toEqual([]);
});

test('an engine that is restarted, and one that takes its place, are read', async () => {
  const root = makeRoot({ 'run/podman/empty': '' });
  mkdirSync(join(root, 'run'), { recursive: true });
  const source = watch(undefined, root);
  const none = await source.read();
  expect(none.ok ? '' : none.error).toContain('there is no socket at /run/docker.sock');
  const podman = await openStandInEngine(join(root, 'run/podman/podman.sock'));
  expect(await readSamples(source)).toMatchObject({ 'container.count{container.state=running}': 0 });
  await podman.close();
  const gone = await source.read();
  expect(gone.ok).toBe(false);
  const again = await openStandInEngine(join(root, 'run/podman/podman.sock'));
  closing.push(again.close);
  expect((await source.read()).ok).toBe(true);
  const docker = await openStandInEngine(join(root, 'run/docker.sock'));
  closing.push(docker.close);
  docker.setContainers(WEB);
  expect(await readSamples(source)).toMatchObject({ 'container.count{container.state=running}': 1 });
});

test('a socket that nobody listens at, or that may not be used, is said to be so', async () => {
  const root = makeRoot({ 'engine.sock': '' });
  const dead = await watch(join(root, 'engine.sock')).read();
  expect(dead.ok ? '' : dead.error).toContain('does not listen: start it');
  const locked = join(root, 'locked.sock');
  const server = createServer().listen(locked);
  closing.push(() => server.close());
  await expect.poll(() => server.listening).toBe(true);
  chmodSync(locked, 0);
  const rights = { uid: process.geteuid?.(), gid: process.getegid?.() };
  if (rights.uid === 0) process.seteuid?.('nobody');
  try {
    chmodAncestors(root);
    const refused = await watch(locked).read();
    expect(refused.ok ? '' : refused.error).toContain('SupplementaryGroups=docker');
  } finally {
    if (rights.uid === 0) process.seteuid?.(0);
    rmSync(root, { recursive: true });
  }
});

/** Such that only the socket itself keeps others out. */
function chmodAncestors(root: string): void {
  const isRoot = process.geteuid?.() !== process.getuid?.();
  if (!isRoot) return;
  process.seteuid?.(0);
  chmodSync(root, 0o755);
  process.seteuid?.('nobody');
}

test('diagnose() says which engine there is, what the socket means, and how many containers', async () => {
  const engine = await openEngine(WEB, { ...WEB, id: idOf('b'), name: 'new', createdMs: START_MS - 1 });
  engine.answers.set('/version', { Version: '29.0.0', ApiVersion: '1.52', Components: [{ Name: 'Engine' }] });
  const source = watch(engine.socket, makeRoot(makeCgroupFiles(WEB.id, 77)));
  expect((await source.diagnose?.())?.map(({ what }) => what)).toEqual([
    `${engine.socket}: whoever may use this socket can make himself root of this host; the agent only reads from it`,
    'Docker Engine 29.0.0, API 1.52',
    'control groups: v2',
    '2 containers, 2 of which run',
    '1 are not yet a minute old, and have no series before they are',
  ]);
});

test('whoever switches it on is told once what the socket means', () => {
  const said: string[] = [];
  const note = (event: string) => void said.push(event);
  openContainerSource({}, { root: makeRoot({}), now: () => 0, log: { info: note, warn: note, error: note } });
  expect(said).toEqual(['containers.socket']);
});

test.for([
  ['/run/user/1000/docker.sock', null],
  ['docker.sock', 'a path that begins with /'],
  ['http://10.0.0.1:2375', 'a path that begins with /'],
  ['unix:///run/docker.sock', 'a path that begins with /'],
  ['', 'a path that begins with /'],
] as const)('the socket %o: %o', ([socket, fault]) => {
  const parsed = v.safeParse(v.strictObject(CONTAINER_SETTINGS), { socket });
  expect(parsed.issues?.[0].message ?? null).toBe(fault);
});
