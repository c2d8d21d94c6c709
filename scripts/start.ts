import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

import { describeError } from '@muster/proto/log';
import {
  formatOptions,
  parseOptions,
  parsePort,
  parseSwitch,
  parseText,
  type Option,
  type Values,
} from '@muster/proto/options';
import { isRecord } from '@muster/proto/record';

import { buildPage } from './build-page.ts';
import { startProgram, type Program } from './program.ts';

const ROOT = join(import.meta.dirname, '..');
const USAGE = `npm start: the whole of Muster on this machine, a collector and an agent

  npm start -- [options]`;

const PORT_DEFAULT = 7430;
const LIVE_PORT_DEFAULT = 7431;

const OPTIONS = {
  port: {
    env: 'MUSTER_PORT',
    placeholder: 'PORT',
    help: 'port of the dashboard, the API and the agents (default 7430)',
    default: PORT_DEFAULT,
    parse: parsePort,
  } satisfies Option<number>,
  livePort: {
    env: 'MUSTER_LIVE_PORT',
    placeholder: 'PORT',
    help: 'loopback port of the live view, reached through the first (default 7431, with another --port any free one)',
    default: null,
    parse: parsePort,
  } satisfies Option<number | null>,
  data: {
    env: 'MUSTER_DATA',
    placeholder: 'DIRECTORY',
    help: 'where everything is kept (default ./data)',
    default: 'data',
    parse: parseText,
  } satisfies Option<string>,
  noAgent: { help: 'start the collector only', default: false, parse: parseSwitch } satisfies Option<boolean>,
  verbose: {
    help: 'print everything the two programs log',
    default: false,
    parse: parseSwitch,
  } satisfies Option<boolean>,
};

async function main(): Promise<void> {
  const argv = process.argv.slice(2);
  if (argv.includes('--help')) {
    process.stdout.write(formatOptions(USAGE, OPTIONS));
    return;
  }
  const options = parseOptions(OPTIONS, { argv, env: process.env, readFile: (path) => readFileSync(path, 'utf8') });
  if (!options.ok) {
    for (const fault of options.error) console.error(fault);
    process.exitCode = 2;
    return;
  }
  const running: Program[] = [];
  const stopped = stopOnSignal(running);
  const ended = await Promise.race([stopped, run(options.value, running)]);
  if (ended.kind === 'ended') console.error(`The ${ended.program} ended by itself; stopping.`);
  if (ended.kind !== 'asked') process.exitCode = 1;
  await stopAll(running);
  process.exit(); // the channel to the parent would keep this process
}

/** Why everything stops: a person asked, a program ended, or one could not start and has said why. */
type End = { readonly kind: 'asked' | 'not-started' } | { readonly kind: 'ended'; readonly program: string };

/** Starts everything, and resolves when something ends by itself. Whatever is started is in `running` at once. */
async function run(options: Values<typeof OPTIONS>, running: Program[]): Promise<End> {
  const data = resolve(ROOT, options.data);
  await buildPage(() => console.log('Building the page …'));
  const livePort = options.livePort ?? (options.port === PORT_DEFAULT ? LIVE_PORT_DEFAULT : 0);
  const collector = startProgram({
    name: 'collector',
    main: join(ROOT, 'collector/main.ts'),
    args: ['--port', String(options.port), '--live-port', String(livePort), '--data', data],
    env: {},
    verbose: options.verbose,
  });
  running.push(collector);
  const url = await collector.ready;
  if (url === null) return { kind: 'not-started' };
  if (!options.noAgent) {
    const { origin, hash } = new URL(url);
    const state = join(data, 'agent');
    const agent = startProgram({
      name: 'agent',
      main: join(ROOT, 'agent/main.ts'),
      args: ['--url', origin, '--state', state],
      env: await findIdentity(state, origin, hash.slice('#key='.length)),
      verbose: options.verbose,
    });
    running.push(agent);
  }
  console.log(
    `\nMuster is running. Open the dashboard:\n\n  ${url}\n\nData is kept in ${data}. Ctrl-C stops everything.`,
  );
  return Promise.race(
    running.map((program) => program.exited.then(() => ({ kind: 'ended', program: program.name }) as const)),
  );
}

/** What the agent needs to know who it is: nothing once it has enrolled, a token to enrol with before. */
async function findIdentity(state: string, origin: string, key: string): Promise<Readonly<Record<string, string>>> {
  const isEnrolled = existsSync(join(state, 'identity.json'));
  return isEnrolled ? {} : { MUSTER_TOKEN: await createEnrolmentToken(origin, key) };
}

async function createEnrolmentToken(origin: string, key: string): Promise<string> {
  const response = await fetch(`${origin}/api/v1/enrolment-tokens`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${key}` },
  });
  const reply: unknown = await response.json();
  if (!isRecord(reply) || typeof reply['token'] !== 'string')
    throw new Error(`Cannot enrol this host: the collector answered ${response.status}`);
  return reply['token'];
}

/** Resolves at the first signal, or when the parent has gone; the second ends everything at once. */
function stopOnSignal(running: readonly Program[]): Promise<End> {
  return new Promise((resolveStopped) => {
    let isStopping = false;
    const stop = (): void => {
      if (isStopping) {
        for (const program of running) program.kill();
        process.exit(1);
      }
      isStopping = true;
      console.log('\nStopping …');
      resolveStopped({ kind: 'asked' });
    };
    process.on('SIGINT', stop);
    process.on('SIGTERM', stop);
    process.on('disconnect', stop);
  });
}

/** Stops the programs in the reverse of the order started: the agent delivers what it has while the collector is up. */
async function stopAll(running: readonly Program[]): Promise<void> {
  for (const program of running.toReversed()) await program.stop();
}

main().catch((error: unknown) => {
  console.error(describeError(error));
  process.exit(1);
});
