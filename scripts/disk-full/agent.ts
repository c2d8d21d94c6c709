import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Batch } from '@muster/proto/batch';
import type { Gap } from '@muster/proto/event';

import { openStandIn, type StandIn } from '../../agent/testing/collector.ts';
import { startProgram, type Program } from '../program.ts';

/** The interval at which the agent samples here. */
export const EVERY_MS = 1_000;
/** How long anything that must happen may take. */
const PATIENCE_MS = 40_000;

/** The real agent as a process of its own. */
export type AgentProcess = Pick<Program, 'hasEnded' | 'stop' | 'kill'> & {
  readonly stderr: () => string;
  /** How often it has logged an event. */
  readonly count: (event: string) => number;
};

/** `logDescriptor`: where its log goes, an open file; without it, it is kept in memory. `argv` comes after our own. */
export type AgentOptions = {
  readonly url: string;
  readonly stateDirectory: string;
  readonly argv?: readonly string[];
  readonly token?: string;
  readonly logDescriptor?: number;
};

export function startAgent({ url, stateDirectory, argv = [], token, logDescriptor }: AgentOptions): AgentProcess {
  let stderr = '';
  const program = startProgram({
    main: join(import.meta.dirname, '../../agent/main.ts'),
    args: ['--url', url, '--state', stateDirectory, '--interval', `${EVERY_MS}ms`, ...argv],
    env: token === undefined ? {} : { MUSTER_TOKEN: token },
    log: logDescriptor ?? ((line) => (stderr += `${line}\n`)),
  });
  return { ...program, stderr: () => stderr, count: (event) => stderr.split(`"event":"${event}"`).length - 1 };
}

/** A stand-in for the collector that goes away and comes back on the same port, and keeps what it ever took. */
export type Collector = {
  readonly url: string;
  readonly batches: () => readonly Batch[];
  readonly enrolments: () => number;
  readonly leave: () => Promise<void>;
  readonly comeBack: () => Promise<void>;
};

export async function openCollector(): Promise<Collector> {
  let current: StandIn | null = await openStandIn();
  const { url } = current;
  const seen = [current];
  return {
    url,
    batches: () => seen.flatMap(({ batches }) => batches),
    enrolments: () => seen.flatMap(({ requests }) => requests).filter(({ path }) => path.endsWith('/enroll')).length,
    leave: async () => {
      await current?.close();
      current = null;
    },
    comeBack: async () => {
      current = await openStandIn(Number(new URL(url).port));
      seen.push(current);
    },
  };
}

/**
 * Ticks from the first that arrived to the last: `told` are those that a gap speaks of, `lost` those that nothing does.
 * `fellOut`: nothing does, but no record is missing there; on a busy machine the agent may come too late to sample one.
 */
export type Weighed = {
  readonly sampled: number;
  readonly delivered: number;
  readonly told: number;
  readonly lost: number;
  readonly fellOut: number;
  /** Ticks that came with two records. */
  readonly twice: number;
};

export function weigh(batches: readonly Batch[]): Weighed {
  const records = new Map<number, Set<string>>();
  for (const { epoch, seq, since = seq, ticksMs } of batches) {
    for (const tickMs of ticksMs)
      records.set(tickMs, (records.get(tickMs) ?? new Set()).add(`${epoch}/${since}-${seq}`));
  }
  const gaps = batches.flatMap(({ events = [] }) => events).filter((event) => event.kind === 'gap');
  const delivered = [...records.keys()];
  // The first tick of each start comes at once, and the next one may be left out for it.
  const early = delivered.filter((ms) => ms % EVERY_MS !== 0);
  const isDue = (ms: number): boolean => !early.some((firstMs) => ms > firstMs && ms - firstMs < EVERY_MS / 2);
  const firstMs = Math.ceil(Math.min(...delivered) / EVERY_MS) * EVERY_MS;
  const sampled = delivered.length === 0 ? 0 : (Math.max(...delivered) - firstMs) / EVERY_MS + 1;
  const missing = Array.from({ length: sampled }, (_, i) => firstMs + i * EVERY_MS).filter(
    (ms) => !records.has(ms) && isDue(ms),
  );
  const untold = missing.filter((ms) => !gaps.some(({ fromMs, toMs }) => fromMs <= ms && ms <= toMs));
  const isBeside = (ms: number, { fromMs, toMs }: Gap): boolean =>
    !delivered.some((other) => (other > ms && other < fromMs) || (other < ms && other > toMs));
  // What fell out right beside a gap is no part of it: that one counts what was taken.
  const isAccounted = (ms: number): boolean => gaps.some((gap) => isBeside(ms, gap));
  const lost = untold.filter((ms) => isBetweenRecords(ms, batches) && !isAccounted(ms)).length;
  return {
    sampled,
    delivered: delivered.length,
    told: missing.length - untold.length,
    lost,
    fellOut: untold.length - lost,
    twice: [...records.values()].filter((names) => names.size > 1).length,
  };
}

/** Whether a record is missing where this tick would be: between those that arrived before it and after it. */
function isBetweenRecords(tickMs: number, batches: readonly Batch[]): boolean {
  const before = batches.filter(({ ticksMs }) => (ticksMs[0] ?? Infinity) < tickMs);
  const after = batches.filter(({ ticksMs }) => (ticksMs.at(-1) ?? -Infinity) > tickMs);
  return !before.some((one) =>
    after.some(({ epoch, seq, since = seq }) => epoch === one.epoch && since <= one.seq + 1 && seq >= one.seq),
  );
}

/** Bytes of all records that are on the disk; 0 where there is no spool. */
export function spoolBytes(stateDirectory: string): number {
  const directory = join(stateDirectory, 'spool');
  try {
    const names = readdirSync(directory).filter((name) => name.endsWith('.records'));
    return names.reduce((sum, name) => sum + statSync(join(directory, name)).size, 0);
  } catch {
    return 0;
  }
}

/** Whether the file holds this text; false where it cannot be read. */
export function fileHolds(path: string, text: string): boolean {
  try {
    return readFileSync(path, 'utf8').includes(text);
  } catch {
    return false;
  }
}

/** Looks every 20 ms until it is so; throws when the agent ends before, or it takes too long. */
export async function waitFor(what: string, agent: AgentProcess, isSo: () => boolean): Promise<void> {
  for (const untilMs = Date.now() + PATIENCE_MS; !isSo();) {
    if (agent.hasEnded()) throw new Error(`The agent ended while we waited for ${what}: ${agent.stderr().slice(-500)}`);
    if (Date.now() > untilMs) throw new Error(`Waited in vain for ${what}: ${agent.stderr().slice(-500)}`);
    await sleep(20);
  }
}
