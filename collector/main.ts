import { readFileSync } from 'node:fs';

import { describeError, makeLog } from '@muster/proto/log';
import { formatOptions, parseOptions } from '@muster/proto/options';

import { openCollector } from './collector.ts';
import { findConfigFault, OPTIONS } from './config.ts';

const USAGE = `muster-collector: takes the metrics of a fleet, keeps them and shows them

  node collector/main.ts [options]`;

async function main(): Promise<void> {
  if (process.argv.includes('--help')) {
    process.stdout.write(formatOptions(USAGE, OPTIONS));
    return;
  }
  const config = parseOptions(OPTIONS, {
    argv: process.argv.slice(2),
    env: process.env,
    readFile: (path) => readFileSync(path, 'utf8'),
  });
  const faults = config.ok ? [findConfigFault(config.value)].filter((fault) => fault !== null) : config.error;
  if (!config.ok || faults.length > 0) {
    for (const fault of faults) process.stderr.write(`${fault}\n`);
    process.exitCode = 2;
    return;
  }
  const log = makeLog((line) => process.stderr.write(line), Date.now);
  const collector = await openCollector(config.value, log, Date.now);
  log.info('collector.ready', { url: collector.url.replace(/#.*/, ''), data: config.value.data });
  process.send?.({ kind: 'ready', url: collector.url });

  let stopping = false;
  const stop = (reason: string): void => {
    if (stopping) process.exit(1); // asked twice: at once
    stopping = true;
    log.info('collector.stopping', { reason });
    collector.close().then(
      () => {
        log.info('collector.stopped');
        process.exit(0);
      },
      (error: unknown) => {
        log.error('collector.stop-failed', { error });
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  process.on('disconnect', () => stop('parent ended'));
}

main().catch((error: unknown) => {
  process.stderr.write(`${describeError(error)}\n`);
  process.exitCode = 1;
});
