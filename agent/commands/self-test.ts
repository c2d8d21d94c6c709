import { existsSync, readdirSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';

import { encodeBatch } from '@muster/proto/batch';
import { describeError } from '@muster/proto/log';

import { compress } from '../compress.ts';
import type { Config } from '../config.ts';
import { openHttpClient } from '../http-client.ts';
import { readIdentity } from '../state.ts';
import { readConfig, type Command } from './command.ts';
import { survey } from './survey.ts';

/**
 * What is printed when it works. The exit code does not count: where a file server is gone, the process cannot end in
 * order, and is none the worse.
 */
export const WORKS = 'works\n';

const USAGE = 'muster-agent self-test [options]: shows that this version works on this machine, and changes nothing';

/** What a version has to pass before it takes the place of the one that runs. */
export const SELF_TEST: Command = {
  summary: 'show that this version works here, as an update has to',
  run: async (input) => {
    const config = readConfig(USAGE, input);
    if (typeof config === 'number') return config;
    try {
      await testSelf(config);
    } catch (cause) {
      input.fail(`${describeError(cause)}\n`);
      return 1;
    }
    input.write(WORKS);
    return 0;
  },
};

/**
 * Beside an agent that runs: all of the program loads, every source can be asked, a batch be made, and the state directory
 * be read. Throws what does not work. A source that has nothing to say here is none of that.
 */
async function testSelf(config: Config): Promise<void> {
  openHttpClient({ url: config.url }, { keepMs: 1_000, connections: 1 }).close();
  // What is checked is other services: one that hangs says nothing against this version.
  await survey({ ...config, checks: [] });
  const nothing = { epoch: 1, seq: 1, sentMs: 1, ticksMs: [], series: [], values: new Float64Array(0) };
  compress(encodeBatch(nothing));
  if (existsSync(config.stateDirectory)) {
    readdirSync(config.stateDirectory);
    readIdentity(config.stateDirectory);
  }
  // The last call to the system counts as under way until its turn is over.
  await setImmediate();
}
