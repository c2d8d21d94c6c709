import { existsSync, readdirSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';

import { encodeBatch } from '@muster/proto/batch';
import { Pool } from 'undici';

import { makeSources } from './agent.ts';
import { compress } from './compress.ts';
import type { Config } from './config.ts';
import { readIdentity } from './state.ts';

/**
 * What is printed when it does. The exit code does not count: where a file server is gone, the process cannot end in
 * order, and is none the worse.
 */
export const WORKS = 'works\n';

/**
 * Shows that this binary works on this machine, beside an agent that runs, and changes nothing: all of it loads, every
 * source can be asked, a batch be made, and the state directory be read. Throws what does not work. A source that has
 * nothing to say here is none of that.
 */
export async function selfTest({ url, root, stateDirectory }: Config): Promise<void> {
  await new Pool(url).close();
  await Promise.all(makeSources(root).map((source) => source.read()));
  const nothing = { epoch: 1, seq: 1, sentMs: 1, ticksMs: [], series: [], values: new Float64Array(0) };
  compress(encodeBatch(nothing));
  if (existsSync(stateDirectory)) {
    readdirSync(stateDirectory);
    readIdentity(stateDirectory);
  }
  // The last call to the system counts as under way until its turn is over.
  await setImmediate();
}
