import { readFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { describeError } from '@muster/proto/log';
import { formatOptions, parseOptions, PORT, SWITCH, TEXT, type Option } from '@muster/proto/options';
import { isRecord } from '@muster/proto/record';

import { buildPage } from './page.ts';
import { startProgram, type Program } from './program.ts';

const ROOT = join(import.meta.dirname, '..');
const USAGE = `npm start: the whole of Muster on this machine, a collector and an agent

  npm start -- [options]`;

const OPTIONS = {
  port: {
    env: 'MUSTER_PORT',
    placeholder: 'PORT',
    help: 'port of the dashboard; the live view takes the next one (default 7430)',
    default: 7430,
    parse: PORT,
  } satisfies Option<number>,
  data: {
    env: 'MUSTER_DATA',
    placeholder: 'DIRECTORY',
    help: 'where everything is kept (default ./data)',
    default: 'data',
    parse: TEXT,
  } satisfies Option<string>,
  noAgent: { help: 'start the collector only', default: false, parse: SWITCH } satisfies Option<boolean>,
  verbose: { help: 'print everything the two programs log', default: false, parse: SWITCH } satisfies Option<boolean>,
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
  const { port, noAgent, verbose } = options.value;
  const data = resolve(ROOT, options.value.data);
  await buildPage(() => console.log('Building the page …'));

  const livePort = port === 0 ? 0 : port + 1;
  const collector = startProgram({
    name: 'collector',
    main: join(ROOT, 'collector/main.ts'),
    args: ['--port', String(port), '--live-port', String(livePort), '--data', data],
    env: {},
    verbose,
  });
  running.push(collector);
  const url = await collector.ready;
  if (!noAgent) running.push(await startAgent(url, join(data, 'agent'), verbose));

  console.log(
    `\nMuster is running. Open the dashboard:\n\n  ${url}\n\nData is kept in ${data}. Ctrl-C stops everything.`,
  );
  const ended = await Promise.race([stopped, ...running.map((program) => program.exited.then(() => program.name))]);
  if (ended !== null) {
    console.error(`The ${ended} ended by itself; stopping. Its words are above, all of them with --verbose.`);
    process.exitCode = 1;
  }
  await stopAll(running);
  process.exit(); // the channel to the parent would keep this process
}

/** Starts the agent of this host, enrolled at the collector if it is not already. */
async function startAgent(url: string, state: string, verbose: boolean): Promise<Program> {
  const { origin, hash } = new URL(url);
  const isEnrolled = await stat(join(state, 'identity.json')).then(
    () => true,
    () => false,
  );
  const env: Record<string, string> = isEnrolled
    ? {}
    : { MUSTER_TOKEN: await createEnrolmentToken(origin, hash.slice('#key='.length)) };
  return startProgram({
    name: 'agent',
    main: join(ROOT, 'agent/main.ts'),
    args: ['--url', origin, '--state', state],
    env,
    verbose,
  });
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

/** Resolves with null at the first signal, or when the parent has gone; the second signal ends everything at once. */
function stopOnSignal(running: readonly Program[]): Promise<null> {
  return new Promise((resolveStopped) => {
    let isStopping = false;
    const stop = (): void => {
      if (isStopping) for (const program of running) program.kill();
      if (isStopping) process.exit(1);
      isStopping = true;
      console.log('\nStopping …');
      resolveStopped(null);
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
