import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';

import { describeError } from '@muster/proto/log';
import { parsePort, parseSwitch, parseText, type Option, type Values } from '@muster/proto/options';

import { buildPage } from './build-page.ts';
import { readOptions } from './command.ts';
import { createEnrolmentToken } from './enrol.ts';
import { makePrinter, startProgram, type Program } from './program.ts';

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
    default: null,
    parse: parseText,
  } satisfies Option<string | null>,
  noAgent: { help: 'start the collector only', default: false, parse: parseSwitch } satisfies Option<boolean>,
  demo: {
    help: 'add a fleet that is made up: 60 hosts, two days of history, and what can befall them; into data-demo, unless told otherwise',
    default: false,
    parse: parseSwitch,
  } satisfies Option<boolean>,
  verbose: {
    help: 'print everything the two programs log',
    default: false,
    parse: parseSwitch,
  } satisfies Option<boolean>,
};

async function main(): Promise<void> {
  const options = readOptions(USAGE, OPTIONS);
  const running: Part[] = [];
  const stopped = stopOnSignal(running);
  const ended = await Promise.race([stopped, run(options, running)]);
  if (ended.kind === 'ended') {
    const how = ended.code === null ? 'was killed by a signal' : `ended by itself with ${ended.code}`;
    console.error(`The ${ended.program} ${how}; stopping.`);
  }
  if (ended.kind !== 'asked') process.exitCode = 1;
  await stopAll(running);
  process.exit(); // the channel to the parent would keep this process
}

type Part = Program & { readonly name: string };

/** Why everything stops: a person asked, a program ended, or one could not start and has said why. */
type End =
  | { readonly kind: 'asked' | 'not-started' }
  /** `code`: null after a signal. */
  | { readonly kind: 'ended'; readonly program: string; readonly code: number | null };

/** Starts everything, and resolves when something ends by itself. Whatever is started is in `running` at once. */
async function run(options: Values<typeof OPTIONS>, running: Part[]): Promise<End> {
  // What is made up does not come among what is true.
  const data = resolve(ROOT, options.data ?? (options.demo ? 'data-demo' : 'data'));
  await buildPage(() => console.log('Building the page …'));
  const livePort = options.livePort ?? (options.port === PORT_DEFAULT ? LIVE_PORT_DEFAULT : 0);
  const collector = startProgram({
    main: join(ROOT, 'collector/main.ts'),
    args: ['--port', String(options.port), '--live-port', String(livePort), '--data', data],
    log: makePrinter('collector', options.verbose),
  });
  running.push({ ...collector, name: 'collector' });
  const url = await collector.ready;
  if (url === null) return { kind: 'not-started' };
  if (!options.noAgent) {
    const { origin, hash } = new URL(url);
    const state = join(data, 'agent');
    const agent = startProgram({
      main: join(ROOT, 'agent/main.ts'),
      args: ['--config', 'none', '--url', origin, '--state', state],
      env: await findIdentity(state, { origin, key: hash.slice('#key='.length) }),
      log: makePrinter('agent', options.verbose),
    });
    running.push({ ...agent, name: 'agent' });
  }
  if (options.demo) running.push({ ...startDemo(new URL(url).origin, data), name: 'made-up fleet' });
  console.log(
    `\nMuster is running. Open the dashboard:\n\n  ${url}\n\nData is kept in ${data}. Ctrl-C stops everything.`,
  );
  return Promise.race(
    running.map((program) => program.exited.then((code) => ({ kind: 'ended', program: program.name, code }) as const)),
  );
}

/** Hosts of three regions, whose past and misfortunes are told at once. */
function startDemo(url: string, data: string): Program {
  return startProgram({
    main: join(ROOT, 'scripts/simulate.ts'),
    args: '--hosts 60 --backfill 2d --scenario all'
      .split(' ')
      .concat(['--url', url, '--data', data, '--truth', join(data, 'truth.json')]),
    log: (line) => console.log(line),
  });
}

/** What the agent needs to know who it is: nothing once it has enrolled, a token to enrol with before. */
async function findIdentity(
  state: string,
  collector: { readonly origin: string; readonly key: string },
): Promise<Readonly<Record<string, string>>> {
  const isEnrolled = existsSync(join(state, 'identity.json'));
  return isEnrolled ? {} : { MUSTER_TOKEN: await createEnrolmentToken(collector) };
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
