import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { buildDeb } from './build-deb/package.ts';

const DEPLOY = join(import.meta.dirname, '../deploy');
const hasDpkg = spawnSync('dpkg-deb', ['--version']).error === undefined;
if (!hasDpkg) console.warn('Not tested here: packages, which need dpkg-deb');
const hasAnalyze = spawnSync('systemd-analyze', ['--version']).error === undefined;
if (!hasAnalyze) console.warn('Not tested here: the unit, which needs systemd-analyze');

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'muster-build-deb-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

function makeBuild(): string {
  const agents = mkdtempSync(join(directory, 'agents-'));
  const files = Object.fromEntries(
    ['linux-x64', 'linux-arm64'].map((platform) => {
      const file = `muster-agent-${platform}`;
      writeFileSync(join(agents, file), `the agent for ${platform}`);
      const sha256 = createHash('sha256').update(`the agent for ${platform}`).digest('hex');
      return [platform, { file, sha256 }];
    }),
  );
  writeFileSync(join(agents, 'manifest.json'), JSON.stringify({ version: '1.2.3', files }));
  writeFileSync(join(agents, 'SHA256SUMS'), '');
  return agents;
}

const build = (agents: string, umask = '022') =>
  spawnSync(
    'sh',
    [
      '-c',
      `umask ${umask}; exec "$@"`,
      'sh',
      process.execPath,
      join(import.meta.dirname, 'build-deb.ts'),
      '--agents',
      agents,
    ],
    {
      encoding: 'utf8',
      env: { PATH: process.env['PATH'] ?? '', SOURCE_DATE_EPOCH: '1700000000' },
    },
  );

test.skipIf(!hasDpkg)(
  'build-deb makes a package for each executable, the same bytes again, and their checksums',
  () => {
    const [first, second] = [makeBuild(), makeBuild()];
    const made = build(first);
    expect([made.status, made.stderr]).toEqual([0, '']);
    expect(build(second, '077').status).toBe(0);
    expect(build(second, '077').status).toBe(0); // once more, over what is there
    for (const architecture of ['amd64', 'arm64']) {
      const name = `muster-agent_1.2.3_${architecture}.deb`;
      expect(readFileSync(join(first, name)).equals(readFileSync(join(second, name)))).toBe(true);
    }
    expect(execFileSync('sha256sum', ['-c', 'SHA256SUMS'], { cwd: second, encoding: 'utf8' }).split('\n')).toEqual([
      'muster-agent_1.2.3_amd64.deb: OK',
      'muster-agent_1.2.3_arm64.deb: OK',
      '',
    ]);
  },
);

test.skipIf(!hasDpkg)('a package holds the agent and its service, owned by root, and no secret', () => {
  const agents = makeBuild();
  chmodSync(join(agents, 'muster-agent-linux-x64'), 0o600);
  const executable = join(agents, 'muster-agent-linux-x64');
  const options = { executable, version: '1.2.3', architecture: 'amd64', epochSeconds: 1_700_000_000, out: agents };
  const deb = join(agents, buildDeb(options));
  const listed = execFileSync('dpkg-deb', ['-c', deb], { encoding: 'utf8', env: { ...process.env, TZ: 'UTC' } });
  const rows = listed
    .trimEnd()
    .split('\n')
    .map((line) => line.split(/ +/));
  expect(new Set(rows.map(([, owner, , day, time]) => `${owner} ${day} ${time}`))).toEqual(
    new Set(['root/root 2023-11-14 22:13']),
  );
  const modes = new Map(rows.map(([mode, , , , , path]) => [path, mode]));
  expect(modes.get('./usr/bin/muster-agent')).toBe('-rwxr-xr-x');
  for (const path of ['./etc/muster/agent.yaml', './usr/lib/systemd/system/muster-agent.service'])
    expect([path, modes.get(path)]).toEqual([path, '-rw-r--r--']);
  const tree = join(directory, 'tree');
  execFileSync('dpkg-deb', ['-R', deb, tree]);
  expect(readFileSync(join(tree, 'DEBIAN/control'), 'utf8')).toMatch(
    /^Package: muster-agent\n.*^Version: 1\.2\.3\nArchitecture: amd64\n/ms,
  );
  expect(readFileSync(join(tree, 'DEBIAN/conffiles'), 'utf8')).toBe('/etc/muster/agent.yaml\n');
  expect(execFileSync('md5sum', ['-c', 'DEBIAN/md5sums'], { cwd: tree, encoding: 'utf8' })).toContain(
    'usr/bin/muster-agent: OK',
  );
  const settings = readFileSync(join(tree, 'etc/muster/agent.yaml'), 'utf8').split('\n');
  expect(settings.filter((line) => line !== '' && !line.startsWith('#'))).toEqual([]);
});

test.skipIf(!hasDpkg)('build-deb makes no package of an executable that is not what the manifest says', () => {
  const agents = makeBuild();
  writeFileSync(join(agents, 'muster-agent-linux-x64'), 'another');
  const { status, stderr } = build(agents);
  expect([status, stderr]).toEqual([
    1,
    expect.stringMatching(/^Cannot use .*muster-agent-linux-x64: its SHA-256 must be/),
  ]);
});

/** The unit and a drop-in as systemd would read them, with a program that exists here. */
function placeUnit(dropIn: string | null): string {
  const place = mkdtempSync(join(directory, 'unit-'));
  const unit = join(place, 'muster-agent.service');
  const text = readFileSync(join(DEPLOY, 'muster-agent.service'), 'utf8');
  writeFileSync(unit, text.replace('/usr/bin/muster-agent', process.execPath));
  if (dropIn === null) return unit;
  mkdirSync(`${unit}.d`);
  writeFileSync(join(`${unit}.d`, dropIn), readFileSync(join(DEPLOY, 'drop-ins', dropIn)));
  return unit;
}

test.skipIf(!hasAnalyze).for([null, ...readdirSync(join(DEPLOY, 'drop-ins'))])(
  'systemd finds nothing wrong with the unit, drop-in %s',
  (dropIn) => {
    const { status, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', placeUnit(dropIn)], {
      encoding: 'utf8',
    });
    expect([status, stderr]).toEqual([0, '']);
  },
);

test.skipIf(!hasAnalyze)('the exposure of the service is 2.0 at most', () => {
  const { stdout } = spawnSync('systemd-analyze', ['security', '--offline=true', '--no-pager', placeUnit(null)], {
    encoding: 'utf8',
  });
  const exposure = Number(/exposure level for \S+: ([\d.]+)/.exec(stdout)?.[1]);
  expect(exposure).toBeGreaterThan(0);
  expect(exposure).toBeLessThanOrEqual(2);
});

test.for([
  ['as it is installed', (text: string) => text, 'http://127.0.0.1:7430'],
  [
    'with every example in it',
    (text: string) => text.replaceAll(/^#(?=[a-z]| {2})/gm, ''),
    'https://muster.example:7430',
  ],
] as const)('the configuration file is right %s', ([, edit, url]) => {
  const file = join(directory, 'agent.yaml');
  writeFileSync(file, edit(readFileSync(join(DEPLOY, 'agent.yaml'), 'utf8')));
  const main = join(import.meta.dirname, '../agent/main.ts');
  const argv = [main, 'check-config', '--config', file, '--token', 'the-token'];
  const { status, stdout, stderr } = spawnSync(process.execPath, argv, { encoding: 'utf8' });
  expect([status, stderr, stdout]).toEqual([0, '', expect.stringContaining(url)]);
});
