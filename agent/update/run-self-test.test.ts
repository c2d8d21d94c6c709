import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { makeProgram } from '../testing/program.ts';
import { runSelfTest } from './run-self-test.ts';

test('a version works even where a service that is checked hangs: it is not asked', async () => {
  let asked = 0;
  const silent = createServer((socket) => {
    asked += 1;
    socket.on('error', () => undefined);
  });
  await new Promise<void>((resolve) => {
    silent.listen(0, '127.0.0.1', resolve);
  });
  const { port } = silent.address() as AddressInfo; // it listens on a port, not a path
  const directory = mkdtempSync(join(tmpdir(), 'muster-self-test-'));
  const config = join(directory, 'agent.yaml');
  writeFileSync(config, `checks:\n  - { name: hung, http: "http://127.0.0.1:${port}/", every: 60s, timeout: 60s }\n`);
  const agent = makeProgram(`exec '${process.execPath}' '${join(import.meta.dirname, '../main.ts')}' "$@"`);
  const argv = ['--config', config, '--state', directory, '--url', 'http://127.0.0.1:9'];
  expect(await runSelfTest(agent, argv, new AbortController().signal)).toBe(null);
  expect(asked).toBe(0);
  silent.close();
  rmSync(directory, { recursive: true });
});

test.for([
  ['echo "no such option" >&2; exit 3', 'it ended with 3 no such option'],
  ['echo works; kill -9 $$', null], // where a file server is gone, it cannot end in order
  ['kill -9 $$', 'it ended with SIGKILL'],
] as const)('runSelfTest() of a program that says %o gives %o', async ([script, expected]) => {
  expect(await runSelfTest(makeProgram(script), [], new AbortController().signal)).toBe(expected);
});
