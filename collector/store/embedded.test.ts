import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { openEmbedded } from './embedded.ts';

/** More than the threads that Node has for files and the engine together, here and as `npm start` sets it. */
const READS = 20;

test('openEmbedded() lets files be written and blocks go in while many heavy reads wait, and closes in spite of them', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'muster-embedded-'));
  const engine = await openEmbedded(directory);
  await engine.command('CREATE TABLE muster.t (a UInt32) ENGINE = MergeTree ORDER BY a');
  const endless = 'SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = {hash:UInt64}';
  const reads = Promise.allSettled(Array.from({ length: READS }, () => engine.query(endless, { hash: 1 })));
  await writeFile(join(directory, 'file'), 'text');
  await engine.insert('t', 1, [{ name: 'a', type: 'UInt32', values: [1] }]);
  await engine.close();
  expect(new Set((await reads).map(({ status }) => status))).toEqual(new Set(['rejected']));
  await rm(directory, { recursive: true });
});

test.for(['{1,2}', 'a*', 'a?', '[ab]', 'a\\b'])('openEmbedded() refuses a path with %s in it', async (name) => {
  await expect(openEmbedded(join(tmpdir(), name))).rejects.toThrow('must not hold any of');
});

test('openEmbedded() clears away blocks that a kill left', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'muster-embedded-'));
  const incoming = join(directory, 'incoming');
  await mkdir(incoming);
  await writeFile(join(incoming, '1.native'), 'left by a kill');
  await (await openEmbedded(directory)).close();
  for (const name of await readdir(incoming)) expect(await readFile(join(incoming, name), 'utf8')).toBe('');
  await rm(directory, { recursive: true });
});

test('a read that nobody wants any more ends, and so does one that takes too much; others go on', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'muster-embedded-'));
  const engine = await openEmbedded(directory);
  const leaving = new AbortController();
  const endless = 'SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = {hash:UInt64}';
  const reads = [1, 2].map((hash) => engine.query(endless, { hash }, leaving.signal));
  const after = engine.query('SELECT {hash:UInt64} AS hash', { hash: 3 });
  await expect.poll(() => engine.query("SELECT 1 FROM system.processes WHERE query LIKE '%numbers%'")).not.toEqual([]);
  leaving.abort();
  expect((await Promise.allSettled(reads)).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  expect(await after).toEqual([{ hash: 3 }]);
  const huge = 'SELECT length(groupArray(number)) AS n FROM numbers(100000000000) WHERE number != {hash:UInt64}';
  await expect(engine.query(huge, { hash: 1 })).rejects.toThrow('too much to read; ask for a shorter time');
  await engine.close();
  await rm(directory, { recursive: true });
});

test('openEmbedded() leaves the signals of a fault to the system, which ends the process', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'muster-embedded-'));
  const engine = await openEmbedded(directory);
  await engine.openSession();
  const status = await readFile('/proc/self/status', 'utf8');
  const caught = BigInt(`0x${/^SigCgt:\s*(\w+)$/m.exec(status)?.[1] ?? ''}`);
  const { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT, SIGSYS, SIGTSTP } = constants.signals;
  const fatal = [SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT, SIGSYS, SIGTSTP];
  expect(fatal.filter((signal) => ((caught >> BigInt(signal - 1)) & 1n) === 1n)).toEqual([]);
  await engine.close();
  await rm(directory, { recursive: true });
});

test.for(['a\nb', 'a b', '<&>"\'', '%20;$', 'ü'])('openEmbedded() takes a path with %j in it', async (name) => {
  const directory = await mkdtemp(join(tmpdir(), 'muster-embedded-'));
  const data = join(directory, name);
  const engine = await openEmbedded(data, { 'backups/allowed_path': join(data, 'backups') });
  await engine.command('CREATE TABLE t (a UInt32) ENGINE = MergeTree ORDER BY a');
  await engine.insert('t', 1, [{ name: 'a', type: 'UInt32', values: [1] }]);
  await engine.command("BACKUP TABLE t TO File('backup')");
  expect(await readdir(join(data, 'backups'))).toEqual(['backup']);
  await engine.close();
  await rm(directory, { recursive: true });
});
