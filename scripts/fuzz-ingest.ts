import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { parseSwitch, type Option, type Values } from '@muster/proto/options';

import { openTestCollector } from '../collector/test-collector.ts';
import { numberOption, runCommand, SEED } from './command.ts';
import { enrollHosts, fuzzIngest, openHandlerLane, openWireLane, type Lane } from './fuzz/fuzz-ingest.ts';
import { joinCounts } from './tally.ts';

const OPTIONS = {
  count: numberOption({ unit: 'REQUESTS', help: 'how many', default: 1_000_000, min: 1 }),
  seed: SEED,
  from: numberOption({ help: 'the first of them, to have one again', default: 0 }),
  now: numberOption({ unit: 'MS', help: 'the Unix time of the batches, to have them again; 0 is now', default: 0 }),
  wire: {
    help: 'over connections, not straight to the handler',
    default: false,
    parse: parseSwitch,
  } as Option<boolean>,
};

async function prove({ count: total, seed, from, now, wire }: Values<typeof OPTIONS>): Promise<boolean> {
  const nowMs = now || Date.now();
  const unhandled = countUnhandled();
  const collector = await openTestCollector();
  const hosts = await enrollHosts(collector);
  const openLane = (readToken: () => string): Lane =>
    wire ? openWireLane(collector.port, readToken) : openHandlerLane(collector.fetch, readToken);
  let counts: ReadonlyMap<string, number> = new Map();
  let isProven = true;
  const startedMs = performance.now();
  for (let tenth = 0; tenth < 10 && isProven; tenth += 1) {
    const [first = 0, end = 0] = [tenth, tenth + 1].map((one) => from + Math.round((total * one) / 10));
    const result = await fuzzIngest({ openLane, hosts, seed, nowMs, from: first, to: end });
    counts = joinCounts([counts, result.counts]);
    const done = end - from;
    const perSecond = Math.round((done * 1000) / (performance.now() - startedMs));
    console.log(`${done} requests, ${perSecond}/s, ${describeMemory()}`);
    if (result.offence === null) continue;
    const { index, status } = result.offence;
    console.log(`OFFENCE: ${status ?? 'no answer'}; again: --seed ${seed} --now ${nowMs} --from ${index} --count 1`);
    isProven = false;
  }
  for (const key of [...counts.keys()].toSorted()) console.log(`${key}: ${counts.get(key)}`);
  await collector.close();
  console.log(`unhandled rejections and exceptions: ${unhandled()}; seed ${seed}, time ${nowMs}`);
  return isProven && unhandled() === 0;
}

function countUnhandled(): () => number {
  let unhandled = 0;
  for (const event of ['unhandledRejection', 'uncaughtException'] as const) {
    process.on(event, (error: unknown) => {
      unhandled += 1;
      console.error(error);
    });
  }
  return () => unhandled;
}

/** What this process, collector and engine included, holds after the garbage is gone. */
function describeMemory(): string {
  setFlagsFromString('--expose-gc');
  const collectGarbage: unknown = runInNewContext('gc');
  if (typeof collectGarbage === 'function') collectGarbage();
  const { rss, heapUsed, external } = process.memoryUsage();
  const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
  return `RSS ${mib(rss)} (heap ${mib(heapUsed)}, external ${mib(external)})`;
}

await runCommand({
  usage: `fuzz-ingest: sends broken batches to the ingest route of a collector of its own and counts what it answers; proves
that each is refused, or is none and stored, and that nothing crashes. Names the first that is answered as none should be.

  node scripts/fuzz-ingest.ts --count 1000000 --seed 7`,
  options: OPTIONS,
  prove,
});
