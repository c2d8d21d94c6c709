import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';

import { describeError, makeLog } from '@muster/proto/log';
import { formatOptions } from '@muster/proto/options';

import { openAgent, type Surroundings } from './agent.ts';
import { makeOptions, parseConfig, type Config } from './config.ts';
import manifest from './package.json' with { type: 'json' };
import { scheduleTimer } from './schedule.ts';
import { selfTest, WORKS } from './self-test.ts';
import { readProgram } from './update/program.ts';
import { NO_UPDATE, openUpdate, startNewest, type Update } from './update.ts';

const USAGE = 'muster-agent [options]: samples this host and sends what it finds to a collector';

/** Runs the agent until it is told to stop. Exit codes: 0 stopped, 1 cannot work, 2 wrongly configured. */
async function main([command, ...rest]: readonly string[]): Promise<number> {
  const isSelfTest = command === 'self-test';
  const argv = isSelfTest || command === undefined ? rest : [command, ...rest];
  if (argv.includes('--version')) {
    const { platform, arch, versions } = process;
    process.stdout.write(`muster-agent ${manifest.version} ${platform}-${arch} node ${versions.node}\n`);
    return 0;
  }
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
  if (isSelfTest) return reportSelfTest(config.value);
  const surroundings = { log, now: Date.now, random: Math.random, schedule: scheduleTimer };
  const update = beginUpdate(config.value, surroundings);
  const stopped = waitForStop();
  let isStopped = false;
  void stopped.then(() => (isStopped = true));
  try {
    const { url, name, everyMs } = config.value;
    log.info('agent.started', { url, name, everyMs });
    const agent = await openAgent(config.value, { ...surroundings, delivered: update.confirm });
    const refusal = await Promise.race([stopped, agent.refused, update.due]);
    if (refusal !== null) log.error('agent.refused', { reason: refusal });
    else log.info('agent.stopping');
    await update.close();
    await agent.close();
    log.info('agent.stopped');
    if (!isStopped) update.finish(refusal !== null);
    return refusal === null ? 0 : 1;
  } catch (cause) {
    log.error('agent.failed', { reason: describeError(cause) });
    await update.close();
    if (!isStopped) update.finish(true);
    return 1;
  }
}

/** Lets a newer version take the place of this process, if there is one, and sees to it that newer ones come. */
function beginUpdate({ update, url, stateDirectory }: Config, surroundings: Surroundings): Update {
  if (update === null) return NO_UPDATE;
  const program = readProgram(manifest.version);
  if (program === null) {
    surroundings.log.warn('update.off', { reason: 'this is no standalone executable: update its sources instead' });
    return NO_UPDATE;
  }
  const options = { ...surroundings, ...update, program, url, stateDirectory };
  startNewest(options);
  return openUpdate(options);
}

async function reportSelfTest(config: Config): Promise<number> {
  try {
    await selfTest(config);
    process.stdout.write(WORKS);
    return 0;
  } catch (cause) {
    process.stderr.write(`${describeError(cause)}\n`);
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

void main(process.argv.slice(2)).then(exit);
