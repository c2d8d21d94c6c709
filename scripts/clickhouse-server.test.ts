import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { findServerFault } from './clickhouse-server/server.ts';
import { until } from './until.ts';

const options = { skip: findServerFault() !== null, timeout: 60_000 };

test.for(['SIGTERM', 'SIGKILL'] as const)(
  'clickhouse-server ends with %s, and its data stay',
  options,
  async (signal) => {
    const directory = await mkdtemp(join(tmpdir(), 'muster-clickhouse-'));
    const args = [
      join(import.meta.dirname, 'clickhouse-server.ts'),
      '--port',
      '0',
      '--path',
      directory,
      '--user',
      'u:p',
    ];
    const ask = async (port: string, query: string): Promise<string> => {
      const headers = { 'X-ClickHouse-User': 'u', 'X-ClickHouse-Key': 'p' };
      return (await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', headers, body: query })).text();
    };
    for (const [query, answer] of [
      ['CREATE TABLE default.t ENGINE = MergeTree ORDER BY a AS SELECT 7 AS a', ''],
      ['SELECT a FROM default.t', '7\n'],
    ] as const) {
      const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] });
      let said = '';
      child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
      const port = await until('the server', () => /ready: \S+:(\d+)\//.exec(said)?.[1] ?? null);
      expect(await ask(port, query)).toBe(answer);
      child.kill(signal);
      await once(child, 'exit');
      await until('its end', () =>
        ask(port, 'SELECT 1').then(
          () => null,
          () => true,
        ),
      );
      await until('its files to be free', () => isFree(directory));
    }
    await rm(directory, { recursive: true });
  },
);

/** Whether a server that starts on a directory would find it unused: the last one ends a while after it has closed its port. */
async function isFree(directory: string): Promise<true | null> {
  for (const pid of await readdir('/proc')) {
    const line = /^\d+$/.test(pid) ? await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '') : '';
    if (line.includes(`--path=${join(directory, 'data')}`)) return null;
  }
  return true;
}
