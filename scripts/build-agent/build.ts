import { execFile } from 'node:child_process';
import { createHash, type KeyObject } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';

import { LIBRARY_ASSET } from '../../agent/library.ts';
import { bundleAgent } from './bundle.ts';
import { makeExecutable } from './executable.ts';
import { readLibrary, readNode, type Platform } from './node-binary.ts';
import { signBytes } from './signing.ts';

/**
 * V8's flags, baked in: RssAnon 33.6 MB without, 16.5 MB with them, at the same CPU. No code is made for speed that a tick
 * every second does not repay, what is compiled is compiled late and forgotten early, and garbage has a small nursery.
 */
export const ENGINE_FLAGS = [
  '--optimize-for-size',
  '--single-threaded-gc',
  '--no-opt',
  '--no-sparkplug',
  '--liftoff-only',
  '--max-lazy',
  '--v8-pool-size=0',
  '--max-old-space-size=64',
  '--max-semi-space-size=1',
  '--bytecode-old-age=1',
] as const;

export type BuildOptions = {
  readonly out: string;
  readonly version: string;
  readonly platforms: readonly Platform[];
  /** Signs the manifest; null: the agents that update themselves take nothing of it. */
  readonly key: KeyObject | null;
};

type Artifact = { readonly file: string; readonly bytes: number; readonly sha256: string };

/** Builds the executables into a directory, and all that goes with them. The same sources make the same bytes. */
export async function buildAgent({ platforms, ...options }: BuildOptions): Promise<void> {
  const code = await bundleAgent(options.version);
  const executables: Executable[] = [];
  for (const platform of platforms) {
    const blob = await makeBlob(code, await readLibrary(platform));
    executables.push({ platform, executable: makeExecutable(await readNode(platform), blob) });
  }
  await writeRelease({ ...options, executables });
}

type Executable = { readonly platform: Platform; readonly executable: Buffer };
export type ReleaseOptions = Omit<BuildOptions, 'platforms'> & { readonly executables: readonly Executable[] };

/**
 * Writes executables with their checksums, and the manifest by which agents update themselves. What is written last is
 * what names the rest, so that a reader finds it whole.
 */
export async function writeRelease({ out, version, executables, key }: ReleaseOptions): Promise<void> {
  mkdirSync(out, { recursive: true });
  const packed: (Executable & { readonly gz: Buffer })[] = [];
  for (const one of executables) packed.push({ ...one, gz: await promisify(gzip)(one.executable) });
  // What is there names itself no more: until the end there is no build, rather than parts of two.
  for (const name of ['manifest.json', 'manifest.json.sig', 'SHA256SUMS']) rmSync(join(out, name), { force: true });
  const files: Record<string, Artifact & { readonly gz: Artifact }> = {};
  for (const { platform, executable, gz } of packed) {
    const file = `muster-agent-${platform}`;
    files[platform] = { ...writeArtifact(out, file, executable, 0o755), gz: writeArtifact(out, `${file}.gz`, gz) };
  }
  const sums = Object.values(files)
    .flatMap(({ gz, ...plain }) => [plain, gz])
    .map(({ sha256, file }) => `${sha256}  ${file}\n`);
  writeArtifact(out, 'SHA256SUMS', Buffer.from(sums.join('')));
  const manifest = Buffer.from(`${JSON.stringify({ version, files }, null, 2)}\n`);
  if (key !== null) writeArtifact(out, 'manifest.json.sig', Buffer.from(signBytes(key, manifest)));
  writeArtifact(out, 'manifest.json', manifest);
}

/** The program as Node's single executables carry it, without code cache and snapshot. */
async function makeBlob(code: string, library: Uint8Array): Promise<Buffer> {
  const directory = mkdtempSync(join(tmpdir(), 'muster-build-'));
  try {
    writeFileSync(join(directory, 'agent.cjs'), code);
    writeFileSync(join(directory, LIBRARY_ASSET), library);
    const config = {
      main: 'agent.cjs', // it is part of the blob: no path of this machine
      output: 'blob',
      assets: { [LIBRARY_ASSET]: LIBRARY_ASSET },
      disableExperimentalSEAWarning: true,
      useCodeCache: false,
      useSnapshot: false,
      execArgv: ENGINE_FLAGS,
      execArgvExtension: 'none', // nor may NODE_OPTIONS add any
    };
    writeFileSync(join(directory, 'sea.json'), JSON.stringify(config));
    await promisify(execFile)(process.execPath, ['--experimental-sea-config', 'sea.json'], { cwd: directory });
    return readFileSync(join(directory, 'blob'));
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function writeArtifact(out: string, file: string, content: Uint8Array, mode = 0o644): Artifact {
  const path = join(out, file);
  writeFileSync(`${path}.tmp`, content, { mode });
  renameSync(`${path}.tmp`, path);
  return { file, bytes: content.byteLength, sha256: createHash('sha256').update(content).digest('hex') };
}
