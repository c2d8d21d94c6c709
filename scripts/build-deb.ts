import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { parseText } from '@muster/proto/options';
import { isRecord } from '@muster/proto/record';

import { buildDeb } from './build-deb/package.ts';
import { runCommand } from './command.ts';

const ROOT = join(import.meta.dirname, '..');
const ARCHITECTURES = { 'linux-x64': 'amd64', 'linux-arm64': 'arm64' } as const;

/** A package beside each executable of a build, of the same version, and their checksums beside the others. */
async function run({ agents }: { readonly agents: string }): Promise<boolean> {
  const { version, files } = readManifest(agents);
  const epochSeconds = readEpochSeconds();
  for (const [platform, architecture] of Object.entries(ARCHITECTURES)) {
    const known = files[platform];
    if (!isRecord(known) || typeof known['file'] !== 'string') continue;
    const executable = join(agents, known['file']);
    const sha256 = hashFile(executable);
    if (sha256 !== known['sha256'])
      throw new Error(`Cannot use ${executable}: its SHA-256 must be ${String(known['sha256'])}, was ${sha256}`);
    const file = buildDeb({ executable, version, architecture, epochSeconds, out: agents });
    noteSum(agents, file);
    console.log(join(agents, file));
  }
  return true;
}

function readManifest(agents: string): { readonly version: string; readonly files: Readonly<Record<string, unknown>> } {
  const path = join(agents, 'manifest.json');
  try {
    const manifest: unknown = JSON.parse(readFileSync(path, 'utf8'));
    if (!isRecord(manifest) || !isRecord(manifest['files'])) throw new Error('it names no files');
    const { version, files } = manifest;
    // Part of a file's name, and what Debian takes: deb-version(7).
    if (typeof version !== 'string' || !/^\d[\w.+~-]*$/.test(version)) throw new Error('it names no version');
    return { version, files };
  } catch (cause) {
    throw new Error(`Cannot read ${path}: make a build by node scripts/build-agent.ts, or name another by --agents`, {
      cause,
    });
  }
}

/** The time that everything in a package bears: https://reproducible-builds.org/specs/source-date-epoch/. */
function readEpochSeconds(): number {
  const { SOURCE_DATE_EPOCH: given } = process.env;
  const text = given ?? execFileSync('git', ['log', '-1', '--format=%ct'], { cwd: ROOT, encoding: 'utf8' }).trim();
  if (!/^\d{1,11}$/.test(text)) throw new Error(`SOURCE_DATE_EPOCH must be seconds since 1970, was ${text}`);
  return Number(text);
}

function noteSum(agents: string, file: string): void {
  const path = join(agents, 'SHA256SUMS');
  const others = readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.endsWith(`  ${file}`));
  const lines = [...others, `${hashFile(join(agents, file))}  ${file}`];
  writeFileSync(`${path}.tmp`, lines.map((line) => `${line}\n`).join(''));
  renameSync(`${path}.tmp`, path);
}

function hashFile(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

await runCommand({
  usage: `build-deb: makes a Debian package of each executable that build-agent has made

  node scripts/build-deb.ts`,
  options: {
    agents: {
      placeholder: 'DIRECTORY',
      help: 'where the executables are, and the packages go (default dist/agent)',
      default: join(ROOT, 'dist/agent'),
      parse: parseText,
    },
  },
  prove: run,
});
