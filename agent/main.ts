import { readdirSync, readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

import { describeError, makeLog, type Log } from '@muster/proto/log';

import { openAgent, type Surroundings } from './agent.ts';
import { CHECK_CONFIG } from './commands/check-config.ts';
import { readConfig, type Command } from './commands/command.ts';
import { DOCTOR } from './commands/doctor.ts';
import { SAMPLE } from './commands/sample.ts';
import { SELF_TEST } from './commands/self-test.ts';
import { STATUS } from './commands/status.ts';
import { parseUpdatePlace, type Config, type ConfigInput } from './config.ts';
import { superviseBy } from './notify/supervise.ts';
import { giveBackMemory } from './give-back.ts';
import manifest from './package.json' with { type: 'json' };
import { scheduleTimer } from './schedule.ts';
import { readProgram } from './update/program.ts';
import { NO_UPDATE, openUpdate, startNewest, type Update } from './update.ts';

/** How long the end waits for calls to the disk, and how often it looks. */
const DISK_MS_MAX = 500;
const DISK_STEP_MS = 10;

const COMMANDS: ReadonlyMap<string, Command> = new Map([
  ['check-config', CHECK_CONFIG],
  ['sample', SAMPLE],
  ['status', STATUS],
  ['doctor', DOCTOR],
  ['self-test', SELF_TEST],
]);

const USAGE = `muster-agent [options]: samples this host and sends what it finds to a collector

${[...COMMANDS].map(([name, { summary }]) => `  muster-agent ${name.padEnd(14)}${summary}`).join('\n')}
  muster-agent --version     print the version

The commands take the same options, and those may stand in the configuration file, too.`;

async function main(argv: readonly string[]): Promise<number> {
  const [name = ''] = argv;
  if (name === '--version') {
    write(`muster-agent ${manifest.version} ${process.platform}-${process.arch} node ${process.versions.node}\n`);
    return 0;
  }
  const command = COMMANDS.get(name);
  const input = { argv, env: process.env, hostname: hostname(), readFile, listFiles: readdirSync, write, fail };
  if (command !== undefined) return command.run({ ...input, argv: argv.slice(1) });
  if (name !== '' && !name.startsWith('-')) {
    fail(`muster-agent knows no ${name}; --help lists what it knows\n`);
    return 2;
  }
  if (!argv.includes('--help')) startFetched(input);
  const config = readConfig(USAGE, input);
  return typeof config === 'number' ? config : run(config);
}

/** Lets a newer version take the place of this process, if one was fetched and is to be trusted. */
function startFetched(input: ConfigInput): void {
  const place = parseUpdatePlace(input, hostname());
  const program = readProgram(manifest.version);
  if (place !== null && program !== null) startNewest({ ...place, program, log: openLog() });
}

function openLog(): Log {
  // A log on a disk that is full, or whose reader is gone, must not end the agent: its lines are lost then.
  process.stderr.on('error', () => undefined);
  return makeLog((line) => process.stderr.write(line), Date.now);
}

/** Runs the agent until it is told to stop. Exit codes: 0 stopped, 1 cannot work. */
async function run(config: Config): Promise<number> {
  const log = openLog();
  const surroundings = { log, now: Date.now, random: Math.random, schedule: scheduleTimer };
  const update = beginUpdate(config, surroundings);
  const notifier = superviseBy(process.env, config, log);
  const stopped = waitForStop();
  let isStopped = false;
  void stopped.then(() => (isStopped = true));
  try {
    const { url, name, everyMs } = config;
    log.info('agent.started', { version: manifest.version, url, name, everyMs });
    giveBackMemory({ directories: [config.stateDirectory], log, schedule: scheduleTimer });
    const agent = await openAgent(config, { ...surroundings, notifier, delivered: update.confirm });
    const refusal = await Promise.race([stopped, agent.refused, update.due]);
    if (refusal !== null) log.error('agent.refused', { reason: refusal });
    else log.info('agent.stopping');
    // Another version that takes our place is no stop to the service manager.
    if (isStopped) notifier.close();
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

/** Sees to it that newer versions come. */
function beginUpdate({ update, url, stateDirectory }: Config, surroundings: Surroundings): Update {
  if (update === null) return NO_UPDATE;
  const program = readProgram(manifest.version);
  if (program === null) {
    surroundings.log.warn('update.off', { reason: 'this is no standalone executable: update its sources instead' });
    return NO_UPDATE;
  }
  return openUpdate({ ...surroundings, ...update, program, url, stateDirectory });
}

function readFile(path: string): string {
  return readFileSync(path, 'utf8');
}

function write(text: string): void {
  process.stdout.write(text);
}

function fail(text: string): void {
  process.stderr.write(text);
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
  if (isAskingDisk()) process.kill(process.pid, 'SIGKILL');
  process.exit(code);
}

function isAskingDisk(): boolean {
  return process.getActiveResourcesInfo().includes('FSReqPromise');
}

/** Lets a call end that is under way just now, so that only one that hangs costs the exit code. */
async function end(code: number): Promise<void> {
  for (let waitedMs = 0; isAskingDisk() && waitedMs < DISK_MS_MAX; waitedMs += DISK_STEP_MS) await sleep(DISK_STEP_MS);
  exit(code);
}

void main(process.argv.slice(2)).then(end);
