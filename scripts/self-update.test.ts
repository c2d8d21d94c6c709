import { spawn, type ChildProcess } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request as forward } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';

import { writeIdentity } from '../agent/state.ts';
import { openStandIn, type StandIn } from '../agent/testing/collector.ts';
import { RELEASE_PATH } from '../agent/update/download.ts';
import { openDepot } from '../agent/update/depot.ts';
import { buildAgent, writeRelease } from './build-agent/build.ts';
import { formatPublicKey } from './build-agent/signing.ts';
import { seededRandom } from './random.ts';

const PLATFORM = process.arch === 'arm64' ? 'linux-arm64' : 'linux-x64';
const { privateKey: key } = generateKeyPairSync('ed25519');
/** Works as far as its self-test goes, and ends at once. */
const ENDS = '#!/bin/sh\nif [ "$1" = self-test ]; then echo works; exit 0; fi\nexit 7\n';
/** How often agents are killed at a random moment. */
const KILLS = 10;
/** Several starts of real binaries each, on a machine that has other tests to run. */
const PATIENCE = { timeout: 120_000 };

let directory = '';
const running: ChildProcess[] = [];
const closing: (() => Promise<void>)[] = [];
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'muster-self-update-'));
  const options = { platforms: [PLATFORM], key } as const;
  await buildAgent({ ...options, version: '0.1.0', out: join(directory, '0.1.0') });
  await buildAgent({ ...options, version: '0.2.0', out: join(directory, '0.2.0') });
  const bad = [{ platform: PLATFORM, executable: Buffer.from(ENDS) }] as const;
  await writeRelease({ version: '0.3.0', out: join(directory, '0.3.0'), executables: bad, key });
}, 120_000);
afterEach(async () => {
  for (const child of running.splice(0)) child.kill('SIGKILL');
  for (const close of closing.splice(0)) await close();
});
afterAll(() => rmSync(directory, { recursive: true }));

type Fleet = { readonly url: string; readonly collector: StandIn; readonly offer: (version: string | null) => void };

/** A collector that serves releases besides. */
async function openFleet(): Promise<Fleet> {
  const collector = await openStandIn();
  let offered: string | null = null;
  const server = createServer((request, response) => {
    const path = request.url ?? '';
    if (path.startsWith(RELEASE_PATH)) {
      const file = createReadStream(join(directory, offered ?? 'none', path.slice(RELEASE_PATH.length)));
      file.on('error', () => response.writeHead(404).end());
      file.pipe(response);
      return;
    }
    const { method, headers } = request;
    const onward = forward(`${collector.url}${path}`, { method, headers }, (answer) => answer.pipe(response));
    onward.on('error', () => response.destroy());
    request.pipe(onward);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  closing.push(async () => {
    server.close();
    server.closeAllConnections();
    await collector.close();
  });
  const { port } = server.address() as AddressInfo; // not a pipe: it listens on a port
  return { url: `http://127.0.0.1:${port}`, collector, offer: (version) => (offered = version) };
}

function makeState(name: string): string {
  const state = join(directory, name);
  mkdirSync(state);
  writeIdentity(state, { host: 'host-1', token: 'token-1' });
  return state;
}

/** Starts the agent that is installed, as a service manager does. */
function start(url: string, state: string) {
  const installed = join(directory, '0.1.0', `muster-agent-${PLATFORM}`);
  const args = ['--url', url, '--state', state, '--interval', '1s', '--update-every', '1s'];
  const env = { MUSTER_UPDATE_KEY: formatPublicKey(key) };
  const child = spawn(installed, args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
  running.push(child);
  const said = { text: '' };
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said.text += text));
  return { child, said, ended: once(child, 'close') };
}

/** The versions whose batches arrived, in the order in which they first did. */
function versionsOf({ batches }: StandIn): string[] {
  return [...new Set(batches.flatMap(({ info }) => info?.agentVersion ?? []))];
}

test(
  'an agent becomes the newer version under its process id, loses nothing, and starts as that from then on',
  PATIENCE,
  async () => {
    const { url, collector, offer } = await openFleet();
    const state = makeState('forward');
    offer('0.2.0');
    const agent = start(url, state);
    await expect.poll(() => versionsOf(collector), { timeout: 25_000 }).toEqual(['0.1.0', '0.2.0']);
    await expect.poll(() => agent.said.text, { timeout: 10_000 }).toContain('update.confirmed');
    expect(agent.said.text).not.toMatch(/"level":"(WARN|ERROR)"|Warning/);
    expect(readFileSync(`/proc/${agent.child.pid}/cmdline`, 'utf8')).toContain('muster-agent-0.2.0');
    agent.child.kill('SIGTERM');
    expect(await agent.ended).toEqual([0, null]);
    const records = [...new Set(collector.batches.map(({ seq }) => seq))].toSorted((a, b) => a - b);
    expect(records).toEqual(Array.from({ length: records.length }, (_, i) => (records[0] ?? 0) + i));
    expect(new Set(collector.batches.map(({ epoch }) => epoch)).size).toBe(1);
    const gaps = collector.batches.flatMap(({ events = [] }) => events).filter(({ kind }) => kind === 'gap');
    expect(gaps).toEqual([]);

    const again = start(url, state);
    await expect.poll(() => again.said.text, { timeout: 10_000 }).toContain('agent.delivered');
    expect(readFileSync(`/proc/${again.child.pid}/cmdline`, 'utf8')).toContain('muster-agent-0.2.0');
  },
);

test(
  'a version that ends at once is left at the third start, and the one before it reports again',
  PATIENCE,
  async () => {
    const { url, collector, offer } = await openFleet();
    const state = makeState('back');
    offer('0.3.0');
    expect(await start(url, state).ended).toEqual([7, null]);
    expect(await start(url, state).ended).toEqual([7, null]);
    const arrived = collector.batches.length;
    const agent = start(url, state);
    await collector.until(() => collector.batches.length > arrived);
    const depot = openDepot(join(state, 'update'));
    await expect.poll(() => depot.readCourse().failures, { timeout: 10_000 }).toMatchObject([{ count: 1 }]);
    expect(agent.said.text).toContain('"event":"update.silent","version":"0.3.0"');
    agent.child.kill('SIGTERM');
    expect(await agent.ended).toEqual([0, null]);
  },
);

test(
  'an agent that is killed at any moment of an update starts again, as a version that is whole, and reports',
  PATIENCE,
  async () => {
    const { url, collector, offer } = await openFleet();
    const state = makeState('killed');
    const random = seededRandom(7, 0);
    const depot = openDepot(join(state, 'update'));
    offer('0.2.0');
    const ended = new Set<unknown>();
    for (let kill = 0; kill < KILLS; kill += 1) {
      // What a kill of the trial has held against it is forgotten, so that there is an update to be killed again.
      depot.writeCourse({
        ...depot.readCourse(),
        suspect: null,
        failures: [],
        ...(kill % 5 === 0 ? { active: null } : {}),
      });
      const agent = start(url, state);
      await sleep(random() * 2_500);
      agent.child.kill('SIGKILL');
      const [code, signal] = await agent.ended;
      ended.add(signal ?? code);
    }
    expect([...ended]).toEqual(['SIGKILL']); // none has ended by itself
    const arrived = collector.batches.length;
    const agent = start(url, state);
    await collector.until(() => collector.batches.length > arrived);
    await expect
      .poll(depot.readCourse, { timeout: 20_000 })
      .toMatchObject({ active: { version: '0.2.0' }, starts: null });
    agent.child.kill('SIGTERM');
    expect(await agent.ended).toEqual([0, null]);
  },
);

test('what is no version of ours is never started, wherever it lies', PATIENCE, async () => {
  const { url, collector } = await openFleet();
  const state = makeState('forged');
  const depot = openDepot(join(state, 'update'));
  depot.writeCourse({ ...depot.readCourse(), active: { version: '9.0.0', sha256: 'f'.repeat(64) }, starts: null });
  writeFileSync(depot.pathOf('9.0.0'), `#!/bin/sh\ntouch ${join(state, 'started')}\n`, { mode: 0o755 });
  const { manifest, signature } = { manifest: Buffer.from('{"version":"9.0.0"}'), signature: 'AAAA' };
  depot.keepManifest('9.0.0', { manifest, signature });
  const agent = start(url, state);
  await collector.until(() => collector.batches.length > 0);
  agent.child.kill('SIGTERM');
  expect(await agent.ended).toEqual([0, null]);
  expect(agent.said.text).toContain('signature');
  expect(() => readFileSync(join(state, 'started'))).toThrow('ENOENT');
});
