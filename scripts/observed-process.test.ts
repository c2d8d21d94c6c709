import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { startObserved } from './observed-process.ts';

const isRoot = process.getuid?.() === 0;

test.runIf(isRoot)(
  'whatever a program starts is counted, however short its life, and what it took with it',
  async () => {
    const script = `
    const { execFileSync } = require('node:child_process');
    process.on('SIGTERM', () => process.exit(0));
    setInterval(() => undefined, 1000);
    for (let i = 0; i < 3; i += 1) execFileSync('/bin/true');
    while (process.cpuUsage().user < 200_000);
    require('node:fs').writeFileSync(process.argv[1], '');
  `;
    const directory = mkdtempSync(join(tmpdir(), 'muster-observed-'));
    const observed = await startObserved({ command: process.execPath, args: ['-e', script, `${directory}/done`] });
    await expect.poll(() => existsSync(`${directory}/done`), { timeout: 20_000 }).toBe(true);
    const first = await observed.countStarted();
    expect(first).toBeGreaterThanOrEqual(1 + 3); // itself, three processes, and Node's threads
    expect(await observed.countStarted()).toBe(0);
    const { cpuMs, anonymousBytes, rssBytes } = observed.usage();
    expect(cpuMs).toBeGreaterThanOrEqual(190); // the kernel counts by 10 ms
    expect(rssBytes).toBeGreaterThan(anonymousBytes);
    expect(anonymousBytes).toBeGreaterThan(1e6);
    await observed.stop();
    expect(observed.hasEnded()).toBe(true);
    rmSync(directory, { recursive: true });
  },
);
