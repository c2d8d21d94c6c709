import { makeLog } from '@muster/proto/log';

import { openAgent } from '../../agent/agent.ts';
import { parseConfig } from '../../agent/config.ts';
import { scheduleTimer } from '../../agent/schedule.ts';
import { openSpool, type Spool, type SpoolOptions } from '../../agent/spool/spool.ts';
import { writeFact } from './ledger.ts';
import { makeSamples } from './samples.ts';

/**
 * The agent as it is, but for what it samples, with a ledger beside it. Takes the agent's own flags; the environment
 * variable CHAOS_LEDGER names the ledger.
 */
async function main(): Promise<void> {
  const argv = ['--config', 'none', ...process.argv.slice(2)];
  const config = parseConfig({ argv, env: process.env, readFile: String, listFiles: () => [] }, 'chaos');
  if (!config.ok) throw new Error(config.error.join('; '));
  const { name } = config.value;
  const path = process.env['CHAOS_LEDGER'] ?? '';
  const log = makeLog((line) => process.stderr.write(line), Date.now);
  const stopped = new Promise<null>((resolve) => {
    for (const event of ['SIGTERM', 'disconnect'] as const) process.once(event, () => resolve(null));
  });
  const surroundings = { log, now: Date.now, random: Math.random, schedule: scheduleTimer };
  const agent = await openAgent(config.value, surroundings, {
    openSources: async () => [],
    readInventory: async () => ({ agentVersion: 'chaos' }),
    openSpool: (options) => openWatchedSpool(options, { path, name }),
  });
  const refusal = await Promise.race([stopped, agent.refused]);
  await agent.close();
  process.exit(refusal === null ? 0 : 1);
}

function openWatchedSpool(
  options: SpoolOptions,
  { path, name }: { readonly path: string; readonly name: string },
): Spool {
  const spool = openSpool(options);
  let fresh: number[] = [];
  const flush = (): boolean => {
    const isWritten = spool.flush();
    if (isWritten) {
      writeFact(path, 'taken', fresh);
      fresh = [];
    }
    return isWritten;
  };
  return {
    ...spool,
    add: (tick) => {
      fresh.push(tick.tsMs);
      spool.add({ ...tick, samples: makeSamples(name, tick.tsMs) });
      writeFact(path, 'sampled', [tick.tsMs]);
    },
    flush,
    takeNewest: () => {
      flush();
      return spool.takeNewest();
    },
    settle: (parcel) => {
      writeFact(path, 'stored', parcel.batch.ticksMs);
      spool.settle(parcel);
    },
  };
}

await main();
