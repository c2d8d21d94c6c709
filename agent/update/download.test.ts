import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { openHttpClient, type HttpClient } from '../http-client.ts';
import { findMountFault, mountSmallDisk, type SmallDisk } from '../../scripts/small-disk.ts';
import { openReleaseServer, PLATFORM, type ReleaseServer } from '../testing/releases.ts';
import { downloadRelease, fetchManifest } from './download.ts';
import { readManifest, type Release } from './release.ts';

const MEBIBYTE = 1024 * 1024;
const NEVER = new AbortController().signal;

let server: ReleaseServer;
let client: HttpClient;
beforeAll(async () => {
  server = await openReleaseServer();
  client = openHttpClient({ url: server.url }, { keepMs: 70_000, connections: 2 });
});
afterAll(async () => {
  client.close();
  await server.close();
});

async function offer(binary: Buffer): Promise<Release> {
  server.offer('0.2.0', binary);
  const signed = await fetchManifest(client, NEVER);
  const release = signed === null ? null : readManifest(signed, server.key, PLATFORM);
  if (release?.ok !== true) throw new Error('Cannot read the manifest of the test');
  return release.value;
}

test.skipIf(findMountFault() !== null)(
  'a download on a disk that fills up meanwhile leaves nothing, and works when there is room',
  async () => {
    const disk: SmallDisk = mountSmallDisk(4 * MEBIBYTE);
    try {
      const path = join(disk.directory, 'agent');
      const binary = randomBytes(3 * MEBIBYTE);
      const release = await offer(binary);
      // As if the room had been there when it was looked for.
      const to = { path, spareBytes: -4 * MEBIBYTE, signal: NEVER };
      disk.fill(2 * MEBIBYTE);
      await expect(downloadRelease(client, release, to)).rejects.toThrow('ENOSPC');
      expect(readdirSync(disk.directory)).toEqual(['filler']);
      disk.free();
      await downloadRelease(client, release, to);
      expect(readFileSync(path).equals(binary)).toBe(true);
      expect(statSync(path).mode & 0o777).toBe(0o700);
    } finally {
      disk.unmount();
    }
  },
);

test('a collector that serves no agents, or signs none, has none', async () => {
  await offer(Buffer.from('x'));
  server.treat({ 'manifest.json.sig': (to) => to.writeHead(404).end() });
  expect(await fetchManifest(client, NEVER)).toBe(null);
  server.treat({ 'manifest.json': (to) => to.writeHead(404).end() });
  expect(await fetchManifest(client, NEVER)).toBe(null);
});
