import type { HostEvent } from '@muster/proto/event';
import { describeError, type Log } from '@muster/proto/log';
import { err } from '@muster/proto/result';

import { CPU_RATIO_MAX, judgeRun, NEW_BUDGET, type Budget } from './budget.ts';
import { makeMeter, type Cost, type Metered, type MeterOptions } from './meter.ts';
import type { ReadResult, Sample, Source } from './source.ts';
import { within } from './within.ts';

/** How long a tick waits for sources that wait for others. */
const PATIENCE_MS = 500;
/** Longer than a source waits for others that does not say how long it may. */
const RUN_MS_MAX = 60_000;
/** For all sources together: what is in memory is still to be sent or stored before the service manager loses patience. */
const CLOSE_MS_MAX = 2_000;

/** What a source has cost: its last run; and the CPU time of all runs and of what it does beside them, as far as it counts that. */
export type SourceCost = { readonly name: string; readonly durationMs: number; readonly cpuMs: number };

export type ReaderOptions = MeterOptions & {
  readonly sources: readonly Source[];
  /** Is given what happened on the host. */
  readonly note: (event: HostEvent) => void;
  readonly log: Log;
  /** The wall clock. */
  readonly now: () => number;
};

export type Reader = {
  /**
   * Reads the sources that are due at a tick. A source of which the last run is still under way is not: what it reads
   * goes with the tick after its end. `everyMs` is the interval of the ticks.
   */
  readonly read: (tsMs: number, everyMs: number) => Promise<readonly Sample[]>;
  /** Of each source that has run. */
  readonly listCosts: () => readonly SourceCost[];
  readonly close: () => Promise<void>;
};

type Entry = {
  readonly source: Source;
  budget: Budget;
  /** The tick of its last run. */
  ranMs: number | null;
  isRunning: boolean;
  /** The last words about it, in the log. */
  said: string;
  cost: SourceCost | null;
  /** What it read after its tick was over. */
  late: readonly Sample[];
};

/** Where what happens is told. */
type Told = Pick<ReaderOptions, 'note' | 'log' | 'now'>;

/** Reads sources, each with a budget: one that costs too much is read less often, and in the end no more. */
export function openReader({ sources, note, log, now, ...meterOptions }: ReaderOptions): Reader {
  const others = sources.flatMap(({ besideMs }) => besideMs ?? []);
  // What a source does beside its readings is no other one's cost, though it waits meanwhile.
  const cpuMs = (): number => others.reduce((leftMs, besideMs) => leftMs - besideMs(), meterOptions.cpuMs());
  const meter = makeMeter({ ...meterOptions, cpuMs });
  const entries = sources.map(makeEntry);
  const told = { note, log, now };

  function start(entry: Entry, tsMs: number, everyMs: number): readonly Sample[] | Promise<readonly Sample[]> {
    entry.ranMs = tsMs;
    const finish = ({ value, cost }: Metered<ReadResult>): readonly Sample[] => {
      entry.isRunning = false;
      account(entry, cost, everyMs, told);
      return take(entry, value, told);
    };
    const metered = meter.measure(() => readSource(entry.source));
    if (!(metered instanceof Promise)) return finish(metered);
    entry.isRunning = true;
    return metered.then(finish);
  }

  return {
    read: async (tsMs, everyMs) => {
      const samples: Sample[] = [];
      const pending: Promise<void>[] = [];
      let isOver = false;
      meter.begin();
      for (const entry of entries) {
        addAll(samples, entry.late);
        entry.late = [];
        const ownMs = Math.max(everyMs, entry.source.everyMs ?? 0);
        const found = isDue(entry, tsMs, ownMs, log) ? start(entry, tsMs, ownMs) : [];
        if (!(found instanceof Promise)) addAll(samples, found);
        else
          pending.push(
            found.then((some) => {
              if (isOver) entry.late = some;
              else addAll(samples, some);
            }),
          );
      }
      if (pending.length > 0) await within(Promise.all(pending), PATIENCE_MS, null);
      isOver = true;
      return samples;
    },
    listCosts: () =>
      entries.flatMap(({ source: { besideMs }, cost }) =>
        cost === null ? [] : { ...cost, cpuMs: cost.cpuMs + (besideMs?.() ?? 0) },
      ),
    close: async () => {
      const open = new Set(entries);
      const closing = entries.toReversed().map(async (entry) => {
        await closeSource(entry, log);
        open.delete(entry);
      });
      await within(Promise.all(closing), CLOSE_MS_MAX, null);
      for (const entry of open) fail(entry, 'it does not end', log);
    },
  };
}

function isDue(entry: Entry, tsMs: number, everyMs: number, log: Log): boolean {
  if (entry.budget.isOff) return false;
  if (entry.ranMs === null) return true;
  if (entry.isRunning) {
    if (tsMs - entry.ranMs >= (entry.source.answerMsMax ?? RUN_MS_MAX)) fail(entry, 'it does not answer', log);
    return false;
  }
  const paceMs = everyMs * entry.budget.slowdown;
  return Math.floor(tsMs / paceMs) !== Math.floor(entry.ranMs / paceMs);
}

function account(entry: Entry, cost: Cost, everyMs: number, { note, log, now }: Told): void {
  const { name, cpuRatioMax = CPU_RATIO_MAX } = entry.source;
  entry.cost = { name, durationMs: cost.durationMs, cpuMs: (entry.cost?.cpuMs ?? 0) + cost.cpuMs };
  const { budget, verdict } = judgeRun(entry.budget, cost, { everyMs, cpuRatioMax });
  entry.budget = budget;
  if (verdict === 'kept') return;
  const fields = { source: name, ...cost, cpuRatioMax, everyMs: everyMs * budget.slowdown };
  if (verdict === 'quickened') return log.info('source.quickened', fields);
  log.warn(`source.${verdict}`, { ...fields, next: NEXT });
  note({ kind: `source-${verdict}`, atMs: now(), subject: name });
}

function take(entry: Entry, reading: ReadResult, { note, log }: Told): readonly Sample[] {
  if (!reading.ok) {
    fail(entry, reading.error, log);
    return [];
  }
  const { samples, remark = '', events = [] } = reading.value;
  if (remark !== entry.said) {
    entry.said = remark;
    if (remark === '') log.info('source.complete', { source: entry.source.name });
    else log.info('source.incomplete', { source: entry.source.name, remark });
  }
  for (const event of events) note(event);
  return samples;
}

/** One by one: arguments of a call have an end, at about 120,000. */
function addAll(samples: Sample[], more: readonly Sample[]): void {
  for (const sample of more) samples.push(sample);
}

function fail(entry: Entry, reason: string, log: Log): void {
  if (reason === entry.said) return;
  entry.said = reason;
  log.warn('source.failed', { source: entry.source.name, reason });
}

const NEXT =
  'what it may use of a core is in cpuRatioMax, and it must be done before it is due again; in the configuration, under ' +
  'sources, "every" sets how often it is read, "cpu" what it may use, and "false" switches it off';

function makeEntry(source: Source): Entry {
  return { source, budget: NEW_BUDGET, ranMs: null, isRunning: false, said: '', cost: null, late: [] };
}

/** Reads a source, whatever it does. */
function readSource(source: Source): ReadResult | Promise<ReadResult> {
  try {
    const reading = source.read();
    return reading instanceof Promise ? reading.catch(describeFailure) : reading;
  } catch (cause) {
    return describeFailure(cause);
  }
}

async function closeSource(entry: Entry, log: Log): Promise<void> {
  try {
    await entry.source.close?.();
  } catch (cause) {
    fail(entry, `it cannot be closed: ${describeError(cause)}`, log);
  }
}

function describeFailure(cause: unknown): ReadResult {
  return err(describeError(cause));
}
