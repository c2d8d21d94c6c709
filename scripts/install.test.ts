import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';

import { makeTestBatch, openTestCollector, type TestCollector } from '@muster/collector/test-collector';
import { encodeBatch } from '@muster/proto/batch';
import { INGEST_PATH } from '@muster/proto/push';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';

import { createEnrolmentToken } from './enrol.ts';

const isRoot = process.getuid?.() === 0;
if (!isRoot) console.warn('Not tested here: install.sh, which needs root');

const DEPLOY = join(import.meta.dirname, '../deploy');
const PLATFORM = `linux-${process.arch}`;
const PACKED = `muster-agent-${PLATFORM}.gz`;
/** A stand-in for the executable: the agent of this checkout. */
const AGENT = `#!/bin/sh
exec ${process.execPath} ${join(import.meta.dirname, '../agent/main.ts')} "$@"
`;

let directory: string;
let agents: string;
let image: string;
let collector: TestCollector;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'muster-install-'));
  agents = join(directory, 'agents');
  mkdirSync(agents);
  collector = await openTestCollector({ agents });
});

afterAll(async () => {
  await collector.close();
  rmSync(directory, { recursive: true });
});

beforeEach(() => {
  build(AGENT);
  image = mkdtempSync(join(directory, 'image-'));
});

function build(agent: string): void {
  const packed = gzipSync(agent);
  writeFileSync(join(agents, PACKED), packed);
  writeFileSync(join(agents, 'SHA256SUMS'), `${createHash('sha256').update(packed).digest('hex')}  ${PACKED}\n`);
  writeFileSync(join(agents, 'manifest.json'), '{}');
}

type Ended = { readonly code: number | null; readonly out: string; readonly err: string };

async function run(command: string, env: Readonly<Record<string, string>> = {}): Promise<Ended> {
  const child = spawn('sh', ['-c', command], {
    env: { PATH: process.env['PATH'] ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { code: code === null ? null : Number(code), out, err };
}

/** As a person does it, into an image. */
const install = (args = '', env: Readonly<Record<string, string>> = {}): Promise<Ended> =>
  run(`curl -fsSL ${collector.origin}/install.sh | sh -s -- --root ${image} ${args}`, env);

const readInstalled = (path: string): string => readFileSync(join(image, path), 'utf8');

/** All files and links of the image, with what they hold. */
function readImage(): Readonly<Record<string, string>> {
  const entries = readdirSync(image, { recursive: true, withFileTypes: true }).filter((entry) => !entry.isDirectory());
  return Object.fromEntries(
    entries.map((entry) => {
      const path = join(entry.parentPath, entry.name);
      return [path.slice(image.length), entry.isSymbolicLink() ? readlinkSync(path) : readFileSync(path, 'utf8')];
    }),
  );
}

test.skipIf(!isRoot)('install.sh puts the agent, its service and its configuration into an image', async () => {
  expect(await install('--token the-token --name "web 1"')).toEqual({
    code: 0,
    out: `Fetching the agent for ${PLATFORM} from ${collector.origin}\nThe agent is in ${image}; its hosts join ${collector.origin} when they start.\n`,
    err: '',
  });
  const dropIns = readdirSync(join(DEPLOY, 'drop-ins')).toSorted();
  expect(Object.keys(readImage()).toSorted()).toEqual([
    '/etc/muster/agent.yaml',
    '/etc/muster/token',
    '/etc/systemd/system/multi-user.target.wants/muster-agent.service',
    '/etc/systemd/system/muster-agent.service',
    '/usr/local/bin/muster-agent',
    ...dropIns.map((name) => `/usr/local/lib/muster/drop-ins/${name}`),
  ]);
  for (const name of dropIns)
    expect(readInstalled(`usr/local/lib/muster/drop-ins/${name}`)).toBe(
      readFileSync(join(DEPLOY, 'drop-ins', name), 'utf8'),
    );
  expect(readInstalled('usr/local/bin/muster-agent')).toBe(AGENT);
  expect(statSync(join(image, 'usr/local/bin/muster-agent')).mode & 0o777).toBe(0o755);
  expect(readInstalled('etc/muster/agent.yaml').split('\n').slice(1)).toEqual([
    `url: "${collector.origin}"`,
    'name: "web 1"',
    '',
  ]);
  expect([readInstalled('etc/muster/token'), statSync(join(image, 'etc/muster/token')).mode & 0o777]).toEqual([
    'the-token\n',
    0o600,
  ]);
  expect(readInstalled('etc/systemd/system/muster-agent.service')).toBe(
    readFileSync(join(DEPLOY, 'muster-agent.service'), 'utf8')
      .replace('=/usr/bin/', '=/usr/local/bin/')
      .replace(/Documentation=.*\n/, ''),
  );
});

test.skipIf(!isRoot)('install.sh run again upgrades the agent and leaves the configuration alone', async () => {
  expect((await install('--token the-token')).code).toBe(0);
  writeFileSync(join(image, 'etc/muster/agent.yaml'), 'url: "https://other.example"\n');
  build(`${AGENT}# newer\n`);
  const again = await install();
  expect([again.code, again.err]).toEqual([0, '']);
  expect(readInstalled('etc/muster/agent.yaml')).toBe('url: "https://other.example"\n');
  expect(readInstalled('etc/muster/token')).toBe('the-token\n');
  expect(readInstalled('usr/local/bin/muster-agent')).toBe(`${AGENT}# newer\n`);
});

test.skipIf(!isRoot)('install.sh lets others get at what is not secret, with any umask', async () => {
  const piped = `umask 077; curl -fsSL ${collector.origin}/install.sh | sh -s -- --root ${image} --token the-token`;
  expect((await run(piped)).code).toBe(0);
  const modes = ['etc/muster', 'etc/muster/agent.yaml', 'etc/muster/token', 'usr/local/bin'].map(
    (path) => statSync(join(image, path)).mode & 0o777,
  );
  expect(modes).toEqual([0o755, 0o644, 0o600, 0o755]);
});

test.skipIf(!isRoot).for(['--token the-token', '--uninstall'])(
  'install.sh %s removes what one that was killed has left, and nothing of one that runs',
  async (args) => {
    const ended = spawn('true');
    await once(ended, 'close');
    for (const pid of [ended.pid, process.pid])
      mkdirSync(join(image, `usr/local/bin/.muster-agent.${pid}/x`), { recursive: true });
    expect((await install(args)).code).toBe(0);
    expect(readdirSync(join(image, 'usr/local/bin')).filter((name) => name.startsWith('.'))).toEqual([
      `.muster-agent.${process.pid}`,
    ]);
  },
);

/** What is done to the build, and what is said then. */
test.skipIf(!isRoot).for([
  [
    'a wrong checksum',
    () => writeFileSync(join(agents, 'SHA256SUMS'), `${'0'.repeat(64)}  ${PACKED}\n`),
    /is damaged: its SHA-256 is/,
  ],
  [
    'a download that is cut',
    () => writeFileSync(join(agents, PACKED), readFileSync(join(agents, PACKED)).subarray(0, 50)),
    /is damaged/,
  ],
  [
    'no agent for this platform',
    () => writeFileSync(join(agents, 'SHA256SUMS'), ''),
    /has no agent for linux-.*build-agent\.ts/,
  ],
  ['a file that is gone', () => rmSync(join(agents, PACKED)), /cannot get .*is the collector there/],
] as const)('install.sh meets %s and leaves what is installed', async ([, damage, said]) => {
  expect((await install('--token the-token')).code).toBe(0);
  const before = readImage();
  build(`${AGENT}# newer\n`);
  damage();
  const { code, err } = await install('--token another --name other');
  expect([code, err]).toEqual([1, expect.stringMatching(said)]);
  expect(readImage()).toEqual(before);
});

test.skipIf(!isRoot)('install.sh that is cut anywhere does nothing', async () => {
  const script = await (await fetch(`${collector.origin}/install.sh`)).text();
  const lines = script.split('\n');
  const cuts = [0.2, 0.5, 0.9].map((share) => lines.slice(0, Math.floor(lines.length * share)).join('\n'));
  for (const cut of [...cuts, script.trimEnd().slice(0, -1), script.slice(0, script.lastIndexOf('main "$@"') + 9)]) {
    writeFileSync(join(directory, 'cut.sh'), cut);
    await run(`sh ${join(directory, 'cut.sh')} --root ${image} --token the-token`);
    expect(readImage()).toEqual({});
  }
});

/** A PATH that has what the script needs, but for some. */
function makePath(without: readonly string[]): string {
  const bin = mkdtempSync(join(directory, 'bin-'));
  const names = 'sh cat id uname mkdir rm mv chmod ln gzip sha256sum openssl cut grep sed curl wget'.split(' ');
  for (const name of names.filter((one) => !without.includes(one))) {
    const found = (process.env['PATH'] ?? '').split(':').map((place) => join(place, name));
    const path = found.find((place) => existsSync(place));
    if (path !== undefined) symlinkSync(path, join(bin, name));
  }
  return bin;
}

test.skipIf(!isRoot).for([
  [['curl'], 0, ''],
  [['sha256sum'], 0, ''],
  [['curl', 'wget'], 1, 'curl or wget is needed'],
  [['sha256sum', 'openssl'], 1, 'sha256sum or openssl is needed'],
] as const)('install.sh without %s ends with %i', async ([without, code, said], { skip }) => {
  const PATH = makePath(without);
  if (code === 0 && !(existsSync(join(PATH, 'wget')) && existsSync(join(PATH, 'openssl'))))
    skip('wget or openssl is not installed here');
  const script = join(directory, 'install.sh');
  writeFileSync(script, await (await fetch(`${collector.origin}/install.sh`)).text());
  const ended = await run(`sh ${script} --root ${image} --token the-token`, { PATH });
  expect([ended.code, ended.err]).toEqual([code, expect.stringContaining(said)]);
  expect(existsSync(join(image, 'usr/local/bin/muster-agent'))).toBe(code === 0);
});

test.skipIf(!isRoot).for([
  ['', /needs an enrolment token to join/],
  ["--token 'a;b'", /the token must be as/],
  ['--token', /--token needs a value/],
  ['--token t --colour', /--colour is not an option/],
  ['--token t --purge', /--purge goes with --uninstall/],
  ['--token t --root image', /--root must be an absolute path/],
  ['--token t --root /no/such/image', /there is no directory \/no\/such\/image/],
  ["--token t --name 'a\"b'", /the name must not hold quotes/],
  ["--token t --name 'a\nb'", /the name must not hold/],
  ['--token t --url http://muster.example', /is not encrypted.*--insecure-http/],
  ['--token t --url http://127.evil.example', /is not encrypted/],
  ['--token t --url http://10.0.0.1:7430', /is not encrypted/],
  ['--token t --url http://128.0.0.1', /is not encrypted/],
  ['--token t --url http://1.2.3.4', /is not encrypted/],
  ['--token t --url http://[::2]', /is not encrypted/],
  ['--token t --url http://127.evil.example@x', /address must be such as/],
  ["--token t --url 'https://a$(id)'", /address must be such as/],
  ['--token t --url ftp://a', /address must be such as/],
  ['--token t --url https://a/b', /address must be such as/],
] as const)('install.sh %s says what is wrong, and does nothing', async ([args, said]) => {
  const { code, out, err } = await install(args);
  expect([code, out, err]).toEqual([1, '', expect.stringMatching(said)]);
  expect(readImage()).toEqual({});
});

test.skipIf(!isRoot)('install.sh --uninstall leaves the configuration, and --purge nothing', async () => {
  expect((await install('--token the-token')).code).toBe(0);
  mkdirSync(join(image, 'var/lib/private/muster-agent'), { recursive: true });
  expect((await install('--uninstall')).code).toBe(0);
  expect(Object.keys(readImage()).toSorted()).toEqual(['/etc/muster/agent.yaml', '/etc/muster/token']);
  expect((await install('--uninstall --purge')).code).toBe(0);
  expect([readImage(), readdirSync(join(image, 'var/lib/private'))]).toEqual([{}, []]);
  expect((await install('--uninstall')).code).toBe(0);
});

/** Runs it on this very machine, whose directories are only looked at: what is written goes to a memory of its own. */
const IN_A_COPY = `set -e
mount -t tmpfs tmpfs "$1"
for place in etc usr/local var/lib var/log; do
  mkdir -p "$1/$place/upper" "$1/$place/work"
  mount -t overlay overlay -o "lowerdir=/$place,upperdir=$1/$place/upper,workdir=$1/$place/work" "/$place"
done
cd /
`;

/** Why it cannot be tried here, or null. */
async function findPlainFault(): Promise<string | null> {
  if (existsSync('/run/systemd/system')) return 'this machine runs systemd';
  const script = `${IN_A_COPY} su -s /bin/sh nobody -c 'test -x ${process.execPath} && test -r ${import.meta.filename}'`;
  const tried = await run(`unshare --mount sh -c "$SCRIPT" sh ${image}`, { SCRIPT: script });
  return tried.code === 0
    ? null
    : `no copy of this machine can be mounted, or others may not read the checkout ${tried.err}`;
}

test.skipIf(!isRoot)(
  'install.sh starts the agent where there is no systemd, waits for it to join, and ends it',
  async ({ skip }) => {
    const fault = await findPlainFault();
    if (fault !== null) {
      console.warn(`Not tested here: a start without systemd, for ${fault}`);
      skip(fault);
    }
    const token = await createEnrolmentToken(collector);
    // Two machines send with one identity.
    for (let turn = 0; turn < 8; turn += 1) {
      const batch = { ...makeTestBatch(turn, Date.now(), [['system.uptime', '', turn]]), run: 1 + (turn % 2) };
      writeFileSync(join(directory, `turns-${turn}`), encodeBatch(batch));
    }
    const fetchAndRun = `curl -fsSL ${collector.origin}/install.sh | sh -s --`;
    const script = `${IN_A_COPY}
    ${fetchAndRun} --token ${token} | cat
    stat -c '%U %a %n' /etc/muster/token /var/lib/muster-agent /var/log/muster-agent.log
    wc -c </etc/muster/token
    ${fetchAndRun}
    pid=$(cat /var/lib/muster-agent/pid)
    /usr/local/lib/muster/start-agent
    [ "$(cat /var/lib/muster-agent/pid)" = "$pid" ] && echo same
    token=$(sed 's/.*"token":"\\([^"]*\\).*/\\1/' /var/lib/muster-agent/identity.json)
    for batch in ${directory}/turns-*; do
      curl -s -H "Authorization: Bearer $token" --data-binary @"$batch" -H 'Content-Type:' ${collector.origin}${INGEST_PATH}
    done
    ${fetchAndRun} || echo quarantined
    pid=$(cat /var/lib/muster-agent/pid)
    cp /etc/muster/agent.yaml "$1/agent.yaml"
    echo 'bogus: 1' >>/etc/muster/agent.yaml
    ${fetchAndRun} || echo faulty
    sed 's|^url: .*|url: "https://other.example"|' "$1/agent.yaml" >/etc/muster/agent.yaml
    ${fetchAndRun} --token t || echo elsewhere
    cp "$1/agent.yaml" /etc/muster/agent.yaml
    ${fetchAndRun} --name other || echo named
    [ "$(cat /var/lib/muster-agent/pid)" = "$pid" ] && echo undisturbed
    sed -i 's/"token":"[^"]*"/"token":"revoked"/' /var/lib/muster-agent/identity.json
    ${fetchAndRun} || echo turned away
    pid=$(cat /var/lib/muster-agent/pid)
    ${fetchAndRun} --uninstall --purge
    [ -d "/proc/$pid" ] || echo ended
    ls -d /etc/muster /usr/local/bin/muster-agent /var/lib/muster-agent 2>/dev/null || echo gone
    ${fetchAndRun} --token used-up || echo refused`;
    const { out, err } = await run(`unshare --mount sh -c "$SCRIPT" sh ${image}`, { SCRIPT: script });
    const { hosts } = Object(await (await collector.asAdmin('/api/v1/hosts')).json());
    const host = hosts[0]?.host;
    const joined = `This host is ${host}: ${collector.origin}/hosts/${host}`;
    expect(out.split(joined).length, out + err).toBe(3);
    expect(out).toContain('let /usr/local/lib/muster/start-agent run at boot,');
    expect(out).toContain(
      'muster 600 /etc/muster/token\nmuster 700 /var/lib/muster-agent\nmuster 640 /var/log/muster-agent.log\n0\n',
    );
    expect(out).toContain('\nThe agent runs already\nsame\n');
    expect(out).toContain('\nquarantined\n');
    expect(err).toContain(`FAIL  identity: this host is ${host}, but: 403: Two machines send with this token`);
    expect(out).toContain('\nturned away\n');
    expect(out).toMatch(/\nfaulty\n.*\nelsewhere\n.*\nnamed\nundisturbed\n/s);
    expect(err).toMatch(/Not installed: the agent would not start with .*bogus/s);
    expect(err).toContain(`agent.yaml names the collector https://other.example, not ${collector.origin}: to upgrade`);
    expect(err).toContain('is there already and names this host');
    expect(err).toContain(`FAIL  identity: this host is ${host}, but: 401: `);
    expect(out).toContain('\nended\ngone\n');
    expect(out.trimEnd()).toMatch(/refused$/);
    expect(err).toMatch(/The agent is installed, but the agent has ended. What it says:\n.*agent.refused.*unknown/s);
  },
  60_000,
);
