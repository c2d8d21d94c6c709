import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';

const ROOT = join(import.meta.dirname, '../..');
const DEPLOY = join(ROOT, 'deploy');

export type DebOptions = {
  /** The executable. */
  readonly executable: string;
  readonly version: string;
  /** As Debian names it: amd64, arm64. */
  readonly architecture: string;
  /** All that it holds is as old as this, so that the same sources make the same bytes. */
  readonly epochSeconds: number;
  readonly out: string;
};

/** Makes a Debian package of the agent and gives its file's name. Needs dpkg-deb. */
export function buildDeb({ executable, version, architecture, epochSeconds, out }: DebOptions): string {
  const tree = mkdtempSync(join(tmpdir(), 'muster-deb-'));
  try {
    fill(tree, { executable, version, epochSeconds });
    writeControl(tree, version, architecture);
    normalise(tree, epochSeconds);
    const file = `muster-agent_${version}_${architecture}.deb`;
    // How many threads compress decides on the bytes.
    const args = ['--root-owner-group', '-Zxz', '--threads-max=2', '--build', tree, join(out, file)];
    const env = { PATH: process.env['PATH'] ?? '', SOURCE_DATE_EPOCH: String(epochSeconds) };
    execFileSync('dpkg-deb', args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
    return file;
  } finally {
    rmSync(tree, { recursive: true });
  }
}

type Content = Pick<DebOptions, 'executable' | 'version' | 'epochSeconds'>;

function fill(tree: string, { executable, version, epochSeconds }: Content): void {
  const copies = [
    [executable, 'usr/bin/muster-agent'],
    [join(DEPLOY, 'muster-agent.service'), 'usr/lib/systemd/system/muster-agent.service'],
    [join(DEPLOY, 'drop-ins'), 'usr/lib/muster-agent/drop-ins'],
    [join(DEPLOY, 'agent.yaml'), 'etc/muster/agent.yaml'],
    [join(DEPLOY, 'README.md'), 'usr/share/doc/muster-agent/README.md'],
    [join(DEPLOY, 'agent.md'), 'usr/share/doc/muster-agent/agent.md'],
  ] as const;
  for (const [from, to] of copies) cpSync(from, join(tree, to), { recursive: true });
  mkdirSync(join(tree, 'etc/muster/agent.d'));
  mkdirSync(join(tree, 'var/lib/muster-textfile'), { recursive: true });
  const documents = join(tree, 'usr/share/doc/muster-agent');
  writeFileSync(join(documents, 'copyright'), COPYRIGHT);
  const at = new Date(epochSeconds * 1000).toUTCString().replace('GMT', '+0000');
  const log = `muster-agent (${version}) stable; urgency=medium\n\n  * See CHANGELOG.md of Muster.\n\n -- ${MAINTAINER}  ${at}\n`;
  writeFileSync(join(documents, 'changelog.gz'), gzipSync(log, { level: 9 }));
}

function writeControl(tree: string, version: string, architecture: string): void {
  const files = listFiles(tree);
  const bytes = files.reduce((sum, file) => sum + readFileSync(join(tree, file)).byteLength, 0);
  const directory = join(tree, 'DEBIAN');
  cpSync(join(DEPLOY, 'debian'), directory, { recursive: true });
  const fields = {
    ...CONTROL,
    Version: version,
    Architecture: architecture,
    'Installed-Size': Math.ceil(bytes / 1024),
  };
  const control = Object.entries(fields).map(([name, value]) => `${name}: ${value}\n`);
  writeFileSync(join(directory, 'control'), `${control.join('')}Description: ${DESCRIPTION}`);
  writeFileSync(join(directory, 'conffiles'), '/etc/muster/agent.yaml\n');
  const sums = files
    .filter((file) => !file.startsWith('etc/'))
    .map(
      (file) =>
        `${createHash('md5')
          .update(readFileSync(join(tree, file)))
          .digest('hex')}  ${file}\n`,
    );
  writeFileSync(join(directory, 'md5sums'), sums.join(''));
}

/** The modes that a package has, and its times, whatever those of the builder and of its checkout are. */
function normalise(tree: string, epochSeconds: number): void {
  chmodSync(tree, 0o755);
  for (const entry of readdirSync(tree, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const isRun =
      entry.isDirectory() || dirname(path) === join(tree, 'usr/bin') || /^(pre|post)(inst|rm)$/.test(entry.name);
    chmodSync(path, isRun ? 0o755 : 0o644);
    utimesSync(path, epochSeconds, epochSeconds);
  }
  utimesSync(tree, epochSeconds, epochSeconds);
}

function listFiles(tree: string): readonly string[] {
  return readdirSync(tree, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(tree.length + 1))
    .toSorted();
}

const MAINTAINER = 'Muster developers <muster@muster.invalid>';

const CONTROL = {
  Package: 'muster-agent',
  Maintainer: MAINTAINER,
  Section: 'admin',
  Priority: 'optional',
  // What the executable is linked with, and what the maintainer scripts call.
  Depends: 'libc6 (>= 2.28), libgcc-s1 | libgcc1, libstdc++6, init-system-helpers (>= 1.54)',
  // An older one passes over what gives the service its token.
  Breaks: 'systemd (<< 247)',
  Recommends: 'systemd, ca-certificates',
} as const;

const DESCRIPTION = `agent of the Muster fleet monitoring
 Samples this host and sends what it finds to a Muster collector, and keeps it
 on the disk while the collector is away. It runs as a user of its own without
 any rights, listens on no port, and takes no commands.
`;

const COPYRIGHT = `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: Muster

Files: *
Copyright: 2026 The Muster authors
License: Apache-2.0
 On Debian systems the text of the Apache License, version 2.0, is in
 /usr/share/common-licenses/Apache-2.0.

Files: usr/bin/muster-agent
Copyright: 2026 The Muster authors, the Node.js contributors, Niels Martignène (koffi)
License: Apache-2.0 and Expat
 The executable holds Node.js, koffi and other software under the Expat (MIT)
 licence; see https://github.com/nodejs/node/blob/main/LICENSE.
`;
