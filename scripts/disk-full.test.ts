import { spawn } from 'node:child_process';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { startProgram } from './program.ts';
import { mountSmallDisk } from './small-disk.ts';

test('a disk that is filled and freed twice: nothing crashes, is lost or answered wrongly', async ({ skip }) => {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'disk-full.ts'), '--cycles', '2']);
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const code = await new Promise((resolve) => {
    child.once('close', resolve);
  });
  if (code === 3) {
    console.warn(`Not tried here: ${said.trim()}`);
    skip(said.trim());
  }
  expect(said).toContain('lost                  0\n');
  expect(code, said).toBe(0);
}, 120_000);

test('a collector that is started on a full disk gives up its ballast and shows what it has', async ({ skip }) => {
  const disk = mountSmallDisk(64 * 1024 * 1024);
  if (!disk.ok) {
    console.warn(`Not tried here: ${disk.error}`);
    skip(disk.error);
    return;
  }
  const start = () =>
    startProgram({
      name: 'collector',
      main: join(import.meta.dirname, '../collector/main.ts'),
      args: ['--port', '0', '--live-port', '0', '--data', join(disk.value.directory, 'data')],
      env: {},
      verbose: false,
    });
  const first = start();
  try {
    expect(await first.ready).not.toBeNull();
    await first.stop();
    disk.value.fill();
    const second = start();
    const { origin, hash } = new URL((await second.ready) ?? 'http://not.started');
    disk.value.fill();
    const headers = { Authorization: `Bearer ${hash.slice('#key='.length)}` };
    expect((await fetch(`${origin}/api/v1/hosts`, { headers })).status).toBe(200);
    await second.stop();
    expect(await second.exited).toBe(0);
  } finally {
    disk.value.unmount();
  }
}, 60_000);
