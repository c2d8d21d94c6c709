#!/usr/bin/env node
import { readFileSync } from 'node:fs';

import { describeError, makeLog, type Log } from '@muster/proto/log';
import { formatOptions, parseOptions } from '@muster/proto/options';

import { runCommand } from './commands/command.ts';
import { SAMPLES_COMMAND } from './commands/samples.ts';
import { TOKEN_COMMAND } from './commands/token.ts';
import type { Collector } from './collector.ts';
import { findConfigFault, OPTIONS } from './config.ts';

const USAGE = `muster-collector: takes the metrics of a fleet, keeps them and shows them

  muster-collector [options]
  muster-collector token create|list|revoke   the tokens with which hosts join and send; token --help tells more
  muster-collector samples drop               drops old samples; samples --help tells more

muster-collector is node_modules/.bin/node collector/main.ts in a checkout.`;

const COMMANDS = new Map([
  ['token', TOKEN_COMMAND],
  ['samples', SAMPLES_COMMAND],
]);

const SIGNALS = ['SIGTERM', 'SIGINT'] as const;
/** A stop takes a second or two, and 5 s more for requests that hang. Whoever asked for it kills us after 10 s or later. */
const STOP_MS_MAX = 9_000;

async function main(): Promise<void> {
  const [name = '', ...argv] = process.argv.slice(2);
  const command = COMMANDS.get(name);
  if (command !== undefined) {
    const write = (text: string): void => void process.stdout.write(text);
    const fail = (text: string): void => void process.stderr.write(text);
    process.exitCode = await runCommand(command, { argv, env: process.env, readFile, write, fail });
    return;
  }
  if (process.argv.includes('--help')) {
    process.stdout.write(formatOptions(USAGE, OPTIONS));
    return;
  }
  const config = parseOptions(OPTIONS, {
    argv: process.argv.slice(2),
    env: process.env,
    readFile,
  });
  const faults = config.ok ? [findConfigFault(config.value)].filter((fault) => fault !== null) : config.error;
  if (!config.ok || faults.length > 0) {
    for (const fault of faults) process.stderr.write(`${fault}\n`);
    process.exitCode = 2;
    return;
  }
  // A log on a disk that is full, or whose reader is gone, must not end the collector: its lines are lost then.
  process.stderr.on('error', () => undefined);
  // Queries and files share the threads of the pool: of the usual four, four heavy queries leave none. The pool starts
  // with the first file that is read in it, which may be one of the collector's own modules.
  process.env['UV_THREADPOOL_SIZE'] ??= '16';
  const { openCollector } = await import('./collector.ts');
  const log = makeLog((line) => process.stderr.write(line), Date.now);
  const closing = new AbortController();
  const opening = openCollector({ ...config.value, closing: closing.signal }, log, Date.now);
  const stop = stopWhenAsked(opening, closing, log);
  const collector = await opening.catch((error: unknown) => {
    if (closing.signal.aborted) return null;
    throw error;
  });
  if (collector === null || closing.signal.aborted) return;
  const { data, durability } = config.value;
  log.info('collector.ready', { url: collector.url.replace(/#.*/, ''), data, durability });
  process.send?.({ kind: 'ready', url: collector.url });
  void collector.lost.then((error) => {
    log.error('collector.lost', { error });
    stop('its database is gone', 1);
  });
}

function readFile(path: string): string {
  return readFileSync(path, 'utf8');
}

type Stop = (reason: string, exitCode?: number) => void;

/**
 * Closes the collector at the first signal, also while it opens. At the second, or when that takes too long, the system
 * ends the process: an exit would wait for the threads of the engine, of which one may hang. As after any kill, nothing
 * that was acknowledged is lost.
 */
function stopWhenAsked(opening: Promise<Collector>, closing: AbortController, log: Log): Stop {
  const kill = (): void => {
    log.error('collector.stop-failed', { error: `Not closed within ${STOP_MS_MAX / 1000} s; the next start mends it` });
    process.kill(process.pid, 'SIGKILL');
  };
  const stop: Stop = (reason, exitCode = 0) => {
    if (closing.signal.aborted) return;
    closing.abort();
    for (const signal of SIGNALS) process.off(signal, onSignal);
    setTimeout(kill, STOP_MS_MAX);
    log.info('collector.stopping', { reason });
    opening
      .then(
        (collector) => collector.close(),
        (error: unknown) => {
          if (error !== closing.signal.reason) throw error; // else it waited for the server of its store
        },
      )
      .then(
        () => {
          log.info('collector.stopped');
          process.exit(exitCode);
        },
        (error: unknown) => {
          log.error('collector.stop-failed', { error });
          process.exit(1);
        },
      );
  };
  const onSignal = (signal: string): void => stop(signal);
  for (const signal of SIGNALS) process.on(signal, onSignal);
  process.on('disconnect', () => stop('parent ended'));
  return stop;
}

main().catch((error: unknown) => {
  process.stderr.write(`${describeError(error)}\n`);
  process.exit(1); // the channel to a parent would keep this process
});
