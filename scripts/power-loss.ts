import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Values } from '@muster/proto/options';

import { OPTIONS as COLLECTOR_OPTIONS } from '../collector/config.ts';
import { openEmbedded } from '../collector/store/embedded.ts';
import { auditBooks, makeBookkeepingHost, type BookkeepingHost } from './bookkeeping-host.ts';
import { numberOption, runCommand, say, SEED } from './command.ts';
import { enrolHost } from './enrol.ts';
import { openCutDisk, type CutDisk } from './power-loss/disk.ts';
import { seededRandom } from './random.ts';
import { startCollector, type RunningCollector } from './start-collector.ts';

const OPTIONS = {
  durability: {
    placeholder: 'MODE',
    help: 'power-loss, or process to see what that one loses (default power-loss)',
    default: 'power-loss' as const,
    parse: COLLECTOR_OPTIONS.durability.parse,
  },
  cuts: numberOption({ help: 'how often the power is cut', default: 10, min: 1 }),
  seconds: numberOption({
    unit: 'S',
    help: 'between two cuts at most; beyond 20 what has arrived is compacted meanwhile',
    default: 30,
    min: 2,
    max: 600,
  }),
  seed: SEED,
};

const DISK_BYTES = 2 * 1024 ** 3;
/** Each sends one batch after the other. */
const HOSTS = 4;
const TICKS = 20;
const EVERY_MS = 1_000;

type Run = { readonly disk: CutDisk; readonly options: Values<typeof OPTIONS>; readonly hosts: BookkeepingHost[] };

async function prove(options: Values<typeof OPTIONS>): Promise<boolean> {
  const disk = openCutDisk(DISK_BYTES);
  try {
    return await run({ disk, options, hosts: [] });
  } finally {
    disk.close();
  }
}

async function run({ disk, options, hosts }: Run): Promise<boolean> {
  const { durability, cuts, seconds, seed } = options;
  const data = join(disk.directory, 'data');
  const random = seededRandom(seed);
  const fromMs = Math.floor(Date.now() / EVERY_MS) * EVERY_MS - 20 * 86_400_000;
  const clock = { tickMs: fromMs };
  const keys = new Set<string>();
  const startsMs: number[] = [];
  let port = 0;
  for (let cut = 1; cut <= cuts; cut += 1) {
    const startedMs = performance.now();
    const collector = await startCollector({ data, port, durability, onLine: () => undefined });
    startsMs.push(performance.now() - startedMs);
    ({ port } = collector);
    keys.add(collector.key);
    await enrolSome(collector, hosts, cut);
    const waitMs = 1_000 + random() * (seconds - 1) * 1_000;
    const acknowledged = await pushUntilCut({ hosts, clock, waitMs, disk, collector });
    say(
      `cut ${cut} of ${cuts} after ${(waitMs / 1000).toFixed(1)} s: ${acknowledged} batches acknowledged since the last`,
    );
    disk.restart();
  }
  const collector = await startCollector({ data, port, durability });
  const isSignedIn = await Promise.all(hosts.map((host) => host.push(fromMs - TICKS * EVERY_MS, TICKS)));
  keys.add(collector.key);
  const code = await collector.stop();
  const engine = await openEmbedded(data);
  const audit = await auditBooks(engine, hosts, fromMs - 86_400_000);
  await engine.close();
  const refused = isSignedIn.filter((status) => status !== 200).length;
  console.log(`durability              ${durability}
cuts                    ${cuts}, each followed by a start that took ${(Math.max(...startsMs) / 1000).toFixed(1)} s at most
samples acknowledged    ${audit.acknowledged}
lost ${audit.lost}, duplicated ${audit.duplicated}, altered ${audit.altered}
hosts whose token was forgotten ${refused} of ${hosts.length}; access keys ${keys.size} (1: kept)`);
  return audit.lost + audit.duplicated + audit.altered + refused === 0 && keys.size === 1 && code === 0;
}

/** Lets hosts join: some at the first start, one more at each of the others, so that a cut finds one that is new. */
async function enrolSome(collector: RunningCollector, hosts: BookkeepingHost[], cut: number): Promise<void> {
  const count = cut === 1 ? HOSTS : 1;
  for (let i = 0; i < count; i += 1) {
    const { host, token } = await enrolHost(collector, `cut-${cut}-${i}`);
    hosts.push(makeBookkeepingHost(collector.origin, host, token));
  }
}

type Pushing = {
  readonly hosts: readonly BookkeepingHost[];
  readonly clock: { tickMs: number };
  readonly waitMs: number;
  readonly disk: CutDisk;
  readonly collector: RunningCollector;
};

/** Sends until the power is cut, which ends the collector as well. The number of batches that were acknowledged. */
async function pushUntilCut({ hosts, clock, waitMs, disk, collector }: Pushing): Promise<number> {
  let isCut = false;
  let acknowledged = 0;
  const pushing = hosts.map(async (host) => {
    while (!isCut) {
      const tickMs = clock.tickMs;
      clock.tickMs += TICKS * EVERY_MS;
      if ((await host.push(tickMs, TICKS)) === 200) acknowledged += 1;
    }
  });
  await sleep(waitMs);
  disk.cut();
  isCut = true;
  collector.kill();
  await collector.exited;
  await Promise.all(pushing);
  return acknowledged;
}

await runCommand({
  usage: `power-loss: cuts the power of a disk of its own under a collector, again and again, and counts every acknowledged sample
in the store; proves that none is lost where the collector runs with --durability power-loss. Needs root.

  node scripts/power-loss.ts --cuts 10
  node scripts/power-loss.ts --cuts 3 --durability process`,
  options: OPTIONS,
  prove,
});
