import { generateKeyPairSync } from 'node:crypto';
import {
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

import { afterEach, beforeEach, expect, test } from 'vitest';

import { makeClock, type Clock } from './testing/clock.ts';
import { makeEvents } from './testing/events.ts';
import { openReleaseServer, PLATFORM, type ReleaseServer } from './testing/releases.ts';
import { openDepot, type Depot } from './update/depot.ts';
import { CONTROL_MS, confirm, beginTrial, NO_COURSE, TRIAL_MS, type Version } from './update/trial.ts';
import { openUpdate, startNewest, type UpdateOptions } from './update.ts';

/** An agent that works as far as its self-test goes. */
const WORKS = Buffer.from('#!/bin/sh\n[ "$1" = self-test ] && echo works\n');
const FAILS = Buffer.from('#!/bin/sh\necho "no such option" >&2; exit 3\n');
const EVERY_MS = 3_600_000;

let state = '';
let server: ReleaseServer;
let clock: Clock;
let depot: Depot;
const events = { current: makeEvents() };
const replaced: { path: string; installed: string | undefined }[] = [];

beforeEach(async () => {
  state = mkdtempSync(join(tmpdir(), 'muster-update-'));
  writeFileSync(join(state, 'installed'), '');
  server = await openReleaseServer();
  clock = makeClock(1_000_000_000);
  depot = openDepot(join(state, 'update'));
  events.current = makeEvents();
  replaced.length = 0;
});
afterEach(async () => {
  await server.close();
  rmSync(state, { recursive: true });
});

/** As this version would run: the installed one, or one that it has started. */
function makeOptions(version: string, isInstalled = version === '0.1.0'): UpdateOptions {
  const installed = join(state, 'installed');
  return {
    program: {
      version,
      platform: PLATFORM,
      path: isInstalled ? installed : depot.pathOf(version),
      argv: ['--interval', '1s'],
      env: isInstalled ? {} : { MUSTER_INSTALLED: installed },
      replace: (path, _argv, env) => replaced.push({ path, installed: env['MUSTER_INSTALLED'] }),
    },
    key: server.key,
    url: server.url,
    stateDirectory: state,
    everyMs: EVERY_MS,
    log: events.current.log,
    now: clock.now,
    random: () => 0.5,
    schedule: clock.schedule,
    spareBytes: 0,
  };
}

/** Lets the installed agent ask once, until it has something or has said why not. */
async function check(options = makeOptions('0.1.0')) {
  const update = openUpdate(options);
  let isDue = false;
  void update.due.then(() => (isDue = true));
  const before = server.asked().length;
  await clock.advance(EVERY_MS);
  await expect
    .poll(() => isDue || events.current.text().match(/update\.(waiting|failed)/) !== null, { timeout: 10_000 })
    .toBe(true);
  return { update, isDue, asked: server.asked().slice(before) };
}

async function fetchVersion(version: string, binary = WORKS): Promise<Version> {
  const offered = server.offer(version, binary);
  const { update, isDue } = await check();
  expect(isDue).toBe(true);
  update.finish(false);
  return offered;
}

test('a newer version is fetched, shows that it starts, and is started by the installed one, on trial', async () => {
  const offered = await fetchVersion('0.2.0');
  expect(server.asked()).toEqual(['manifest.json', 'manifest.json.sig', 'agent.gz']);
  expect(depot.readCourse()).toEqual({ ...NO_COURSE, active: offered, starts: 0 });
  expect(replaced.splice(0)).toEqual([{ path: join(state, 'installed'), installed: undefined }]);
  startNewest(makeOptions('0.1.0'));
  expect(replaced).toEqual([{ path: depot.pathOf('0.2.0'), installed: join(state, 'installed') }]);
  expect(depot.readCourse().starts).toBe(1);
  expect(readFileSync(depot.pathOf('0.2.0'))).toEqual(WORKS);
  expect(existsSync(join(state, 'lock'))).toBe(false);
});

test('what lies in the state directory of another user is not run', async ({ skip }) => {
  skip(process.getuid?.() !== 0, 'only root can give a directory to another user');
  await fetchVersion('0.2.0');
  replaced.length = 0;
  chownSync(state, 12_345, 12_345);
  startNewest(makeOptions('0.1.0'));
  expect(replaced).toEqual([]);
  expect(events.current.names()).toContain('WARN update.unusable');
});

test('a version on trial stays when it has reported, and then looks for the next', async () => {
  await fetchVersion('0.2.0');
  startNewest(makeOptions('0.1.0'));
  const update = openUpdate(makeOptions('0.2.0'));
  await clock.advance(TRIAL_MS - 1);
  const before = server.asked().length;
  update.confirm();
  await expect.poll(() => depot.readCourse().starts).toBe(null);
  await clock.advance(EVERY_MS);
  await expect.poll(() => server.asked().length).toBe(before + 2);
  update.finish(true);
  expect(replaced).toHaveLength(2);
});

test('a version that does not report in time goes back, and is not tried again that day if the one before it reports', async () => {
  await fetchVersion('0.2.0');
  startNewest(makeOptions('0.1.0'));
  const silent = openUpdate(makeOptions('0.2.0'));
  await clock.advance(TRIAL_MS);
  await silent.due;
  silent.finish(false);
  expect(replaced.at(-1)).toEqual({ path: join(state, 'installed'), installed: undefined });
  startNewest(makeOptions('0.1.0'));
  expect(replaced).toHaveLength(3); // the installed one runs
  const update = openUpdate(makeOptions('0.1.0'));
  update.confirm();
  await expect.poll(() => depot.readCourse().failures).toMatchObject([{ count: 1 }]);
  const before = server.asked().length;
  await clock.advance(EVERY_MS);
  await expect.poll(() => server.asked().slice(before)).toEqual(['manifest.json', 'manifest.json.sig']);
  update.finish(false);
});

test('where the one before it does not report either, nothing is held against a version', async () => {
  const offered = await fetchVersion('0.2.0');
  depot.writeCourse({ ...NO_COURSE, suspect: offered });
  const update = openUpdate(makeOptions('0.1.0'));
  await clock.advance(CONTROL_MS);
  await expect.poll(() => depot.readCourse()).toEqual(NO_COURSE);
  await clock.advance(EVERY_MS);
  await update.due;
});

test('a version that ends at once is given up at its third start, and one that says so at the first', async () => {
  const offered = await fetchVersion('0.2.0');
  for (let start = 0; start < 3; start += 1) startNewest(makeOptions('0.1.0'));
  expect(replaced.map(({ path }) => path).slice(1)).toEqual([depot.pathOf('0.2.0'), depot.pathOf('0.2.0')]);
  expect(depot.readCourse()).toEqual({ ...NO_COURSE, suspect: offered });

  depot.writeCourse(beginTrial(NO_COURSE, offered));
  startNewest(makeOptions('0.1.0'));
  openUpdate(makeOptions('0.2.0')).finish(true);
  expect(depot.readCourse()).toEqual({ ...NO_COURSE, suspect: offered });
});

test('the version before is kept, and comes back', async () => {
  const two = await fetchVersion('0.2.0');
  depot.writeCourse(confirm(depot.readCourse()));
  const three = server.offer('0.3.0', Buffer.concat([WORKS, Buffer.from('\n')]));
  const { update } = await check(makeOptions('0.2.0'));
  update.finish(false);
  expect(depot.readCourse()).toEqual({ ...NO_COURSE, active: three, previous: two, starts: 0 });
  rmSync(depot.pathOf('0.3.0'));
  replaced.length = 0;
  startNewest(makeOptions('0.1.0'));
  expect(replaced.map(({ path }) => path)).toEqual([depot.pathOf('0.2.0')]);
});

test.for([
  [
    'a signature of another key',
    () => server.offer('0.2.0', WORKS, generateKeyPairSync('ed25519').privateKey),
    'signature',
  ],
  ['no newer version', () => server.offer('0.0.9', WORKS), 'older version'],
  [
    'a redirection',
    () => server.treat({ 'manifest.json': (to) => to.writeHead(302, { location: '/x' }).end() }),
    '302',
  ],
  [
    'an endless manifest',
    () => server.treat({ 'manifest.json': (to) => to.end(Buffer.alloc(100_000)) }),
    'larger than',
  ],
  ['a long signature', () => server.treat({ 'manifest.json.sig': (to) => to.end(Buffer.alloc(1_000)) }), 'larger than'],
] as const)('of %s nothing more is fetched', async ([_what, spoil, reason]) => {
  server.offer('0.2.0', WORKS);
  spoil();
  const { isDue, asked, update } = await check();
  expect(isDue).toBe(false);
  expect(asked).not.toContain('agent.gz');
  expect(events.current.text()).toContain(reason);
  update.finish(false);
  expect(replaced).toEqual([]);
});

test.for([
  ['is cut short', { 'agent.gz': (to, content) => to.end(content?.subarray(0, -10)) }, 'end of file'],
  [
    'breaks off',
    { 'agent.gz': (to, content) => to.writeHead(200, { 'content-length': 9_999 }).write(content, () => to.destroy()) },
    '',
  ],
  [
    'is another',
    { 'agent.gz': (to) => to.end(gzipSync(Buffer.alloc(WORKS.byteLength))) },
    'not what its manifest says',
  ],
  ['is longer', { 'agent.gz': (to) => to.end(gzipSync(Buffer.alloc(10_000))) }, 'larger than'],
  ['is no archive', { 'agent.gz': (to) => to.end('x') }, ''],
  ['is not there', { 'agent.gz': (to) => to.writeHead(404).end() }, 'does not have it'],
] as const satisfies readonly (readonly [string, Parameters<ReleaseServer['treat']>[0], string])[])(
  'of a download that %s nothing is left, and nothing is started',
  async ([_how, serving, reason]) => {
    server.offer('0.2.0', WORKS);
    server.treat(serving);
    const { isDue, update } = await check();
    expect(isDue).toBe(false);
    expect(events.current.text()).toContain(reason);
    expect(readdirSync(join(state, 'update'))).toEqual([]);
    update.finish(false);
    expect(replaced).toEqual([]);
  },
);

test('there must be room for a download, and some to spare', async () => {
  server.offer('0.2.0', WORKS);
  const { asked } = await check({ ...makeOptions('0.1.0'), spareBytes: 2 ** 60 });
  expect(asked).not.toContain('agent.gz');
  expect(events.current.text()).toContain('MiB must be free');
});

test('a version that fails its self-test is not started, and not fetched again that day', async () => {
  server.offer('0.2.0', FAILS);
  const { isDue, update } = await check();
  expect(isDue).toBe(false);
  expect(events.current.text()).toContain('it ended with 3 no such option');
  await expect.poll(() => depot.readCourse().failures).toMatchObject([{ count: 1 }]);
  await clock.advance(4 * EVERY_MS);
  await expect.poll(() => server.asked().length).toBeGreaterThan(3);
  expect(server.asked().filter((file) => file === 'agent.gz')).toHaveLength(1);
  update.finish(false);
});

test('what was altered since it was fetched is not started', async () => {
  const offered = await fetchVersion('0.2.0');
  const path = depot.pathOf('0.2.0');
  replaced.length = 0;
  for (const spoil of [
    () => truncateSync(path, 5),
    () => writeFileSync(`${path}.json`, '{}'),
    () => rmSync(`${path}.json.sig`),
  ]) {
    depot.writeCourse(confirm(beginTrial(NO_COURSE, offered)));
    spoil();
    startNewest(makeOptions('0.1.0'));
    expect(depot.readCourse()).toEqual(NO_COURSE);
  }
  expect(replaced).toEqual([]);
});

test('an agent that is stopped in the middle of a download leaves no part of it', async () => {
  server.offer('0.2.0', WORKS);
  const { promise: isUnderWay, resolve: go } = Promise.withResolvers<null>();
  server.treat({ 'agent.gz': (to, content) => to.write(content?.subarray(0, 5), () => go(null)) });
  const update = openUpdate(makeOptions('0.1.0'));
  await clock.advance(EVERY_MS);
  await isUnderWay;
  await update.close();
  expect(readdirSync(join(state, 'update'))).toEqual([]);
});

test('where nothing can be written down, what ran before runs again', async () => {
  server.offer('0.2.0', WORKS);
  const { update, isDue } = await check();
  expect(isDue).toBe(true);
  mkdirSync(join(state, 'update', 'course.json.tmp'));
  update.finish(false);
  expect(events.current.text()).toContain('update.unsaved');
  expect(replaced).toEqual([{ path: join(state, 'installed'), installed: undefined }]);
});

test('a version that the installed one could not start is none to come back to', async () => {
  const offered = server.offer('0.2.0', WORKS);
  depot.writeCourse(beginTrial(NO_COURSE, offered));
  const { update } = await check();
  update.finish(false);
  expect(depot.readCourse()).toEqual({ ...NO_COURSE, active: offered, starts: 0 });
});

test('a package that is newer than what was fetched wins, and the rest is cleared away', async () => {
  await fetchVersion('0.2.0');
  replaced.length = 0;
  startNewest(makeOptions('0.2.0', true));
  expect(replaced).toEqual([]);
  expect(depot.readCourse()).toEqual(NO_COURSE);
  server.treat({ 'manifest.json': (to) => to.writeHead(500).end() });
  await check(makeOptions('0.2.0', true));
  expect(readdirSync(join(state, 'update'))).toEqual(['course.json']);
});
