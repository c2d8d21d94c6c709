import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

import type { RunningCollector } from './start-collector.ts';

/** How a program ended, what it printed, and the numbers that it printed at the ends of lines, by the words before them. */
export type Ended = {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
  readonly count: (words: string) => number;
};

/** Runs one of our programs beside a collector to its end. */
export async function runBeside(
  { origin, key }: RunningCollector,
  name: string,
  args: readonly string[],
): Promise<Ended> {
  const env = { ...process.env, MUSTER_URL: origin, MUSTER_KEY: key };
  const child = spawn(process.execPath, [join(import.meta.dirname, name), ...args], { env });
  const said = Promise.all([text(child.stdout), text(child.stderr)]);
  const [code] = (await once(child, 'exit')) as [number | null];
  const [out, err] = await said;
  return { code, out, err, count: (words) => Number(new RegExp(`^${words} +(\\d+)$`, 'm').exec(out)?.[1]) };
}
