import { execFile, spawn } from 'node:child_process';
import { createHash, createPublicKey, verify } from 'node:crypto';
import { once } from 'node:events';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { readInventory } from '../agent/sources/inventory.ts';
import { openStandIn } from '../agent/testing/collector.ts';
import { readManifest } from '../agent/update/release.ts';
import { runSelfTest } from '../agent/update/run-self-test.ts';
import { makeExecutable } from './build-agent/executable.ts';
import { readFromTar, readNode } from './build-agent/node-binary.ts';
import { createEnrolmentToken } from './enrol.ts';
import { startCollector } from './start-collector.ts';

const ROOT = join(import.meta.dirname, '..');
const PLATFORM = `linux-${process.arch}`;
const run = promisify(execFile);

let directory = '';
let agent = '';
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'muster-binary-'));
  await build(ROOT, ['--make-key', join(directory, 'key')]);
  const elsewhere = copySources(join(directory, 'another', 'place'));
  const args = ['--only', PLATFORM, '--sign', join(directory, 'key')];
  await Promise.all([
    build(ROOT, [...args, '--out', join(directory, 'first')]),
    build(elsewhere, [...args, '--out', join(directory, 'second')]),
  ]);
  agent = join(directory, 'first', `muster-agent-${PLATFORM}`);
}, 120_000);
afterAll(() => rmSync(directory, { recursive: true }));

function build(root: string, args: readonly string[]) {
  return run(process.execPath, [join(root, 'scripts/build-agent.ts'), ...args]);
}

/** What the build needs, in another directory; the packages stay where they are. */
function copySources(to: string): string {
  for (const folder of ['agent', 'proto', 'scripts'])
    cpSync(join(ROOT, folder), join(to, folder), { recursive: true, verbatimSymlinks: true });
  for (const file of ['package.json', 'pnpm-lock.yaml']) cpSync(join(ROOT, file), join(to, file));
  symlinkSync(join(ROOT, 'node_modules'), join(to, 'node_modules'));
  return to;
}

test('two builds from two directories are the same, byte for byte', () => {
  const files = readdirSync(join(directory, 'first')).toSorted();
  const name = basename(agent);
  expect(files).toEqual(['SHA256SUMS', 'manifest.json', 'manifest.json.sig', name, `${name}.gz`].toSorted());
  expect(readdirSync(join(directory, 'second')).toSorted()).toEqual(files);
  for (const file of files)
    expect(readFileSync(join(directory, 'first', file)).equals(readFileSync(join(directory, 'second', file)))).toBe(
      true,
    );
});

test('sums, manifest and signature say what was built', async () => {
  const first = join(directory, 'first');
  await run('sha256sum', ['--check', '--strict', 'SHA256SUMS'], { cwd: first });
  const key = createPublicKey(readFileSync(join(directory, 'key')));
  expect(statSync(join(directory, 'key')).mode & 0o777).toBe(0o600);
  const manifest = readFileSync(join(first, 'manifest.json'));
  const signature = readFileSync(join(first, 'manifest.json.sig'), 'latin1');
  expect(verify(null, manifest, key, Buffer.from(signature, 'base64'))).toBe(true);
  const binary = readFileSync(agent);
  const sha256 = createHash('sha256').update(binary).digest('hex');
  expect(readManifest({ manifest, signature }, key, PLATFORM)).toEqual({
    ok: true,
    value: {
      version: '0.1.0',
      bytes: binary.byteLength,
      sha256,
      gz: { file: `${basename(agent)}.gz`, bytes: statSync(`${agent}.gz`).size },
    },
  });
  expect(gunzipSync(readFileSync(`${agent}.gz`)).equals(binary)).toBe(true);
});

test('a key is not overwritten', async () => {
  await expect(build(ROOT, ['--make-key', join(directory, 'key')])).rejects.toMatchObject({ code: 1 });
});

test('the executable says what it is, and needs the C and C++ libraries only', async () => {
  const { stdout: version } = await run(agent, ['--version'], { env: {} });
  expect(version).toBe(`muster-agent 0.1.0 ${PLATFORM} node ${process.versions.node}\n`);
  const { stdout: help } = await run(agent, ['--help'], { env: { NODE_OPTIONS: '--no-such-option' } });
  expect(help).toContain('--update-key KEY');
  const { stdout: libraries } = await run('ldd', [agent]);
  const names = libraries
    .trim()
    .split('\n')
    .map((line) => basename(line.trim().split(' ')[0] ?? ''));
  const known = /^(linux-vdso|ld-linux-[\w-]+|libc|libm|libdl|libpthread|libstdc\+\+|libgcc_s)\.so/;
  expect(names.filter((name) => !known.test(name))).toEqual([]);
});

test('the executable shows that it works here, or says why not', async () => {
  const works = await runSelfTest(agent, ['--state', join(directory, 'nothing')], AbortSignal.timeout(20_000));
  expect(works).toBe(null);
  expect(await runSelfTest(agent, ['--state', agent], AbortSignal.timeout(20_000))).toContain('ENOTDIR');
  expect(await runSelfTest(agent, ['--colour'], AbortSignal.timeout(20_000))).toContain('2 --colour is not an option');
});

test('the executable joins a fleet and delivers, with an empty environment', async () => {
  const collector = await startCollector({ data: join(directory, 'data') });
  const token = await createEnrolmentToken(collector);
  const args = ['--url', collector.origin, '--token', token, '--state', join(directory, 'state'), '--interval', '1s'];
  const child = spawn(agent, [...args, '--name', 'binary'], { env: {}, stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  await expect.poll(() => said, { timeout: 20_000 }).toContain('"event":"agent.delivered"');
  child.kill('SIGTERM');
  expect(await once(child, 'close')).toEqual([0, null]);
  expect(said).not.toMatch(/"level":"(WARN|ERROR)"/);
  await collector.stop();
});

test('the executable finds out about the machine what the sources find out', async () => {
  const collector = await openStandIn();
  const args = ['--url', collector.url, '--token', 'x', '--state', join(directory, 'inventory'), '--interval', '1s'];
  const child = spawn(agent, args, { env: {}, stdio: 'ignore' });
  await collector.until(() => collector.batches.some(({ info }) => info !== undefined));
  child.kill('SIGTERM');
  await once(child, 'close');
  expect(collector.batches.find(({ info }) => info !== undefined)?.info).toEqual(await readInventory('/'));
  await collector.close();
});

test('makeExecutable() takes nothing that is not laid out as Node is', () => {
  const node = readFileSync(process.execPath);
  expect(() => makeExecutable(Buffer.from('#!/bin/sh\n'.padEnd(100)), Buffer.alloc(1))).toThrow('no 64-bit ELF file');
  node.write('?', node.indexOf('NODE_SEA_FUSE'));
  expect(() => makeExecutable(node, Buffer.alloc(1))).toThrow('no Node that can carry a program');
  node.writeUInt32LE(0, 64 + 56); // the interpreter's segment is none any more
  expect(() => makeExecutable(node, Buffer.alloc(1))).toThrow('one segment of type 3');
});

test('a Node that is not what the lock file says is not built with', async () => {
  const platform = process.arch === 'arm64' ? 'linux-x64' : 'linux-arm64'; // this machine's own is installed
  const cache = join(directory, 'cache');
  mkdirSync(cache);
  writeFileSync(join(cache, `node-${platform}-${process.versions.node}.tgz`), 'another');
  await expect(readNode(platform, cache)).rejects.toThrow('its checksum must be sha512-');
  expect(readdirSync(cache)).toEqual([]); // it is fetched anew the next time
});

test('readFromTar() finds a file of an archive, and says when it is not there', async () => {
  const archive = join(directory, 'sources.tar');
  await run('tar', ['--format=ustar', '-cf', archive, '-C', ROOT, 'package.json', 'README.md', 'LICENSE']);
  const tar = readFileSync(archive);
  for (const file of ['package.json', 'LICENSE'])
    expect(readFromTar(tar, file).equals(readFileSync(join(ROOT, file)))).toBe(true);
  expect(() => readFromTar(tar, 'NOTICE')).toThrow('Cannot find NOTICE');
});
