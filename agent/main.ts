import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';

import { describeError, makeLog } from '@muster/proto/log';
import { formatOptions } from '@muster/proto/options';

import { openAgent } from './agent.ts';
import { makeOptions, parseConfig } from './config.ts';
import { superviseBy } from './notify/supervise.ts';
import { scheduleTimer } from './schedule.ts';

const USAGE = 'muster-agent [options]: samples this host and sends what it finds to a collector';

/** Runs the agent until it is told to stop. Exit codes: 0 stopped, 1 cannot work, 2 wrongly configured. */
async function main(argv: readonly string[]): Promise<number> {
  if (argv.includes('--help')) {
    process.stdout.write(formatOptions(USAGE, makeOptions(hostname())));
    return 0;
  }
  const config = parseConfig({ argv, env: process.env, readFile }, hostname());
  if (!config.ok) {
    process.stderr.write(config.error.map((fault) => `${fault}\n`).join(''));
    return 2;
  }
  // A log on a disk that is full, or whose reader is gone, must not end the agent: its lines are lost then.
  process.stderr.on('error', () => undefined);
  const log = makeLog((line) => process.stderr.write(line), Date.now);
  const stopped = waitForStop();
  try {
    const { url, name, everyMs } = config.value;
    log.info('agent.started', { url, name, everyMs });
    const notifier = superviseBy(process.env, config.value, log);
    const surroundings = { log, now: Date.now, random: Math.random, schedule: scheduleTimer, notifier };
    const agent = await openAgent(config.value, surroundings);
    const refusal = await Promise.race([stopped, agent.refused]);
    if (refusal !== null) log.error('agent.refused', { reason: refusal });
    else log.info('agent.stopping');
    notifier.close();
    await agent.close();
    log.info('agent.stopped');
    return refusal === null ? 0 : 1;
  } catch (cause) {
    log.error('agent.failed', { reason: describeError(cause) });
    return 1;
  }
}

function readFile(path: string): string {
  return readFileSync(path, 'utf8');
}

/** Resolves at the first signal to stop, and when a parent that keeps a channel to us is gone. The second one ends us. */
function waitForStop(): Promise<null> {
  return new Promise((resolve) => {
    let isStopping = false;
    const stop = () => {
      if (isStopping) exit(1);
      isStopping = true;
      resolve(null);
    };
    for (const event of ['SIGTERM', 'SIGINT', 'disconnect'] as const) process.on(event, stop);
  });
}

/**
 * Ends the process, whatever is under way. Even process.exit() waits for the threads of the pool (uv_library_shutdown),
 * and a call to a file server that is gone holds one for ever: then only SIGKILL helps, as far as the kernel lets it, at
 * the price of the exit code.
 */
function exit(code: number): void {
  if (process.getActiveResourcesInfo().includes('FSReqPromise')) process.kill(process.pid, 'SIGKILL');
  process.exit(code);
}

exit(await main(process.argv.slice(2)));
