import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';

import { isRecord } from '@muster/proto/record';

/** What the agent is built for, each named as Node names platform and architecture. */
export const PLATFORMS = ['linux-x64', 'linux-arm64'] as const;
export type Platform = (typeof PLATFORMS)[number];

const ROOT = join(import.meta.dirname, '../..');
const CACHE = join(ROOT, '.cache', 'node');
/** The package of one platform is about 50 MB. */
const DOWNLOAD_MS_MAX = 600_000;
const TAR_BLOCK_BYTES = 512;

/** The executable of Node for a platform, of the pinned version. */
export function readNode(platform: Platform, cache = CACHE): Promise<Buffer> {
  return readFromPackage({ name: `node-${platform}`, file: 'bin/node', pinnedIn: '.', cache });
}

/** The library with which the agent calls the system where Node does not (agent/library.ts). */
export function readLibrary(platform: Platform): Promise<Buffer> {
  const file = `${platform.replace('-', '_')}/koffi.node`;
  return readFromPackage({ name: `@koromix/koffi-${platform}`, file, pinnedIn: 'agent', cache: CACHE });
}

type PackageFile = {
  readonly name: string;
  /** Within the package. */
  readonly file: string;
  /** The folder of ours whose package.json pins its version. */
  readonly pinnedIn: string;
  readonly cache: string;
};

/**
 * A file of a package for one platform. This machine's own is installed; another one comes from the npm registry once,
 * into .cache, and counts only if it is what pnpm-lock.yaml says.
 */
async function readFromPackage({ name, file, pinnedIn, cache }: PackageFile): Promise<Buffer> {
  const installed = join(ROOT, pinnedIn, 'node_modules', name, file);
  if (existsSync(installed)) return readFileSync(installed);
  const version = readVersion(name, pinnedIn);
  const archive = join(cache, `${name.replace('/', '-')}-${version}.tgz`);
  if (!existsSync(archive)) await download(`${name}@${version}`, archive);
  const packed = readFileSync(archive);
  const integrity = `sha512-${createHash('sha512').update(packed).digest('base64')}`;
  const wanted = readIntegrity(`${name}@${version}`);
  if (integrity !== wanted) {
    rmSync(archive);
    throw new Error(`Cannot use ${name}@${version}: its checksum must be ${wanted}, was ${integrity}; try again`);
  }
  return readFromTar(gunzipSync(packed), `package/${file}`);
}

async function download(specifier: string, archive: string): Promise<void> {
  mkdirSync(dirname(archive), { recursive: true });
  const directory = mkdtempSync(join(dirname(archive), 'download-'));
  try {
    const args = ['pack', specifier, '--pack-destination', directory, '--silent'];
    const { stdout } = await promisify(execFile)('npm', args, { cwd: directory, timeout: DOWNLOAD_MS_MAX });
    renameSync(join(directory, stdout.trim()), archive);
  } catch (cause) {
    const next = 'the npm registry must be reachable once to build for another architecture than this one';
    throw new Error(`Cannot get ${specifier}: ${next}`, { cause });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function readVersion(name: string, pinnedIn: string): string {
  const manifest: unknown = JSON.parse(readFileSync(join(ROOT, pinnedIn, 'package.json'), 'utf8'));
  const pinned = isRecord(manifest) ? manifest['optionalDependencies'] : null;
  const version = isRecord(pinned) ? pinned[name] : null;
  if (typeof version !== 'string') throw new Error(`Cannot build: ${pinnedIn}/package.json does not pin ${name}`);
  return version;
}

function readIntegrity(specifier: string): string {
  const lines = readFileSync(join(ROOT, 'pnpm-lock.yaml'), 'utf8').split('\n');
  const at = lines.findIndex((line) => line === `  ${specifier}:` || line === `  '${specifier}':`);
  const integrity = /integrity: (sha512-[\w+/=]+)/.exec(lines[at + 1] ?? '')?.[1];
  if (at < 0 || integrity === undefined)
    throw new Error(`Cannot build: pnpm-lock.yaml has no checksum of ${specifier}`);
  return integrity;
}

/** One file of a tar archive. Source: POSIX pax, "ustar Interchange Format"; names of more than 100 bytes are not known. */
export function readFromTar(tar: Buffer, path: string): Buffer {
  for (let at = 0; at + TAR_BLOCK_BYTES <= tar.byteLength;) {
    const header = tar.subarray(at, at + TAR_BLOCK_BYTES);
    const bytes = Number.parseInt(header.toString('latin1', 124, 136), 8) || 0;
    at += TAR_BLOCK_BYTES;
    if (header.toString('utf8', 0, 100).split('\0')[0] === path) return tar.subarray(at, at + bytes);
    at += Math.ceil(bytes / TAR_BLOCK_BYTES) * TAR_BLOCK_BYTES;
  }
  throw new Error(`Cannot find ${path} in the archive`);
}
