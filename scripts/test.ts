import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { describeError } from '@muster/proto/log';
import { isRecord } from '@muster/proto/record';

import { buildPage } from './build-page.ts';

const ROOT = join(import.meta.dirname, '..');

/** Each check counts as one test; the tests themselves are counted by their runner. */
const CHECKS = [
  { name: 'types', command: ['tsc', '-p', '.'] },
  { name: 'types of the page', command: ['tsc', '-p', 'web'] },
  { name: 'lint', command: ['oxlint', '--type-aware'] },
  { name: 'format', command: ['oxfmt', '--check', '.'] },
] as const;

type Count = { passed: number; failed: number; skipped: number };

async function main(): Promise<void> {
  const count: Count = { passed: 0, failed: 0, skipped: 0 };
  for (const { name, command } of CHECKS) tally(count, name, (await run(command)) === 0);
  tally(count, 'page', await buildPage(() => undefined).then(() => true, report));
  await runVitest(count);
  if (count.skipped > 0) console.log(`${count.skipped} tests were skipped`);
  console.log(`tests: ${count.passed} passed, ${count.failed} failed`);
  process.exitCode = count.failed === 0 && count.passed > 0 ? 0 : 1;
}

function tally(count: Count, name: string, isPassed: boolean): void {
  if (isPassed) count.passed += 1;
  else count.failed += 1;
  console.log(`${isPassed ? 'passed' : 'FAILED'}: ${name}`);
}

function report(error: unknown): false {
  console.error(describeError(error));
  return false;
}

async function runVitest(count: Count): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'muster-test-'));
  const file = join(directory, 'results.json');
  const code = await run(['vitest', 'run', '--reporter=default', '--reporter=json', `--outputFile.json=${file}`]);
  const results: unknown = JSON.parse(await readFile(file, 'utf8').catch(() => 'null'));
  await rm(directory, { recursive: true });
  if (!isRecord(results)) {
    tally(count, 'the test runner', false);
    return;
  }
  const failed = Number(results['numFailedTests']);
  count.passed += Number(results['numPassedTests']);
  count.skipped += Number(results['numPendingTests']) + Number(results['numTodoTests']);
  // A file that cannot be loaded, or an error outside of every test, fails the run without failing a test.
  count.failed += code !== 0 && failed === 0 ? 1 : failed;
}

function run([command = '', ...args]: readonly string[]): Promise<number | null> {
  const child = spawn(join(ROOT, 'node_modules/.bin', command), args, {
    cwd: ROOT,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  return new Promise((resolve) => {
    child.on('error', () => resolve(null));
    child.on('close', resolve);
  });
}

await main();
