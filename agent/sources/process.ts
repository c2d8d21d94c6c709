import { join } from 'node:path';

import { formatLabels } from '@muster/proto/labels';
import { err, ok } from '@muster/proto/result';

import { parseCount, tryText } from '../read-text.ts';
import type { Finding, Reading, Sample, Source } from '../source.ts';
import { USES, type Group, type Use } from './process/group.ts';
import { makeProcessTable, STATES, type TableReading } from './process/table.ts';
import { makeGate, makeTop } from './process/top.ts';
import { findBlindness, findDiskBlindness } from './process/visibility.ts';
import { TICKS_PER_SECOND } from './ticks.ts';

/** Often enough to name who it was; a file of each process is too dear for each second. */
const EVERY_MS = 10_000;
/** Who is not among the ten largest by CPU, memory or disk hardly explains what the host does. */
const TOP_SIZE = 10;
/** Half a percent of a core, 1 MiB, 4 KiB a second: below that nobody asks. */
const FLOORS: Readonly<Record<Use, number>> = { cpu: 0.005, memory: 2 ** 20, disk: 4096 };
/** More than a host has programs worth naming: 200 new groups an hour, each of at most six series. */
const NEWCOMERS_MAX = 200;
const WINDOW_MS = 3_600_000;
/** What changes seldom is sent when it changes, and else once in so many readings. */
const FACTS_EVERY = 6;

const OTHERS = formatLabels({ 'process.executable.name': '(others)' });
const METRIC_BY_USE = { cpu: 'process.cpu.usage', memory: 'process.memory.usage', disk: 'process.disk.rate' } as const;
const STATE_LABELS = STATES.map((state) => ({ state, labels: formatLabels({ 'process.state': state }) }));

export type ProcessOptions = {
  readonly root: string;
  /** Whether command lines, in which there may be secrets, are among the labels. */
  readonly hasArguments: boolean;
  readonly now: () => number;
};

/**
 * How many processes there are, and which of them use the most CPU, memory and disk.
 *
 * Those of one name, owner and container or unit are one group, and one series for each kind of use: it lives on when they
 * are started anew. Who it is at the moment (the pid and start of the largest of the group) are values, not labels. What
 * began and ended between two readings is not seen.
 */
export function makeProcessSource({ root, hasArguments, now }: ProcessOptions): Source {
  const table = makeProcessTable({ root, hasArguments });
  const sampleTop = makeTopSampler();
  let last: TableReading | null = null;
  return {
    name: 'processes',
    everyMs: EVERY_MS,
    read: () => {
      const reading = table.read();
      if (!reading.ok) return reading;
      last = reading.value;
      if (last.groups.size === 0) return err('proc lists no process');
      const { startSeconds, created } = parseBoot(tryText(join(root, 'proc/stat')) ?? '');
      const samples: Sample[] = STATE_LABELS.map(({ state, labels }) => {
        return { metric: 'system.process.count', labels, value: reading.value.states[state] };
      });
      samples.push({ metric: 'system.thread.count', labels: '', value: last.threads });
      if (created !== null) samples.push({ metric: 'system.process.created', labels: '', value: created });
      const { hasOthers } = sampleTop(last, { startSeconds, nowMs: now(), samples });
      return ok(withRemark(samples, hasOthers));
    },
    diagnose: async () => {
      const disks = last === null ? null : findDiskBlindness(last.disksDenied, countProcesses(last));
      const findings = [findBlindness(root), disks];
      return findings.filter((finding): finding is Finding => finding !== null);
    },
    close: async () => table.close(),
  };
}

function countProcesses({ states }: TableReading): number {
  return STATES.reduce((sum, state) => sum + states[state], 0);
}

function withRemark(samples: readonly Sample[], hasOthers: boolean): Reading {
  if (!hasOthers) return { samples };
  const remark = `more than ${NEWCOMERS_MAX} new kinds of processes within an hour: the rest are counted together, as (others)`;
  return { samples, remark };
}

/** Source: proc(5), /proc/stat: when the machine started, in Unix seconds, and how many processes it has forked since. */
export function parseBoot(text: string): { readonly startSeconds: number | null; readonly created: number | null } {
  return {
    startSeconds: parseCount(/^btime (\d+)\n/m.exec(text)?.[1]),
    created: parseCount(/^processes (\d+)\n/m.exec(text)?.[1]),
  };
}

type Place = { readonly startSeconds: number | null; readonly nowMs: number; readonly samples: Sample[] };

function makeTopSampler(): (reading: TableReading, place: Place) => { readonly hasOthers: boolean } {
  const tops = USES.map((use) => ({ use, choose: makeTop(TOP_SIZE, FLOORS[use]) }));
  const mayEnter = makeGate(NEWCOMERS_MAX, WINDOW_MS);
  const sampleFacts = makeFactSampler();
  return ({ groups, hasRates }, { startSeconds, nowMs, samples }) => {
    const named = new Map<string, Use>();
    let hasOthers = false;
    for (const { use, choose } of tops) {
      if (use !== 'memory' && !hasRates) continue;
      let others = 0;
      for (const labels of choose(new Map([...groups].map(([key, { amounts }]) => [key, amounts[use]])))) {
        const amount = groups.get(labels)?.amounts[use] ?? 0;
        if (!mayEnter(labels, nowMs)) {
          others += amount;
          continue;
        }
        samples.push({ metric: METRIC_BY_USE[use], labels, value: roundUse(use, amount) });
        if (!named.has(labels)) named.set(labels, use);
      }
      if (others > 0) samples.push({ metric: METRIC_BY_USE[use], labels: OTHERS, value: roundUse(use, others) });
      hasOthers ||= others > 0;
    }
    sampleFacts(named, groups, { startSeconds, nowMs, samples });
    return { hasOthers };
  };
}

/** Finer than it is measured, and short in the store. */
function roundUse(use: Use, amount: number): number {
  return use === 'cpu' ? Math.round(amount * 1e4) / 1e4 : Math.round(amount);
}

type Said = { readonly pid: number; readonly startTicks: number; age: number };

/** How many a group are, and who is the largest by what the group is named for: by CPU, else memory, else disk. */
function makeFactSampler() {
  let said: ReadonlyMap<string, Said> = new Map();
  return (
    named: ReadonlyMap<string, Use>,
    groups: ReadonlyMap<string, Group>,
    { startSeconds, samples }: Place,
  ): void => {
    const next = new Map<string, Said>();
    for (const [labels, use] of named) {
      const group = groups.get(labels);
      const culprit = group?.culprits[use] ?? group?.culprits.memory ?? null;
      if (group === undefined || culprit === null) continue;
      const before = said.get(labels);
      const isSame = before?.pid === culprit.pid && before.startTicks === culprit.startTicks;
      if (isSame && before.age < FACTS_EVERY - 1) {
        next.set(labels, { ...before, age: before.age + 1 });
        continue;
      }
      next.set(labels, { pid: culprit.pid, startTicks: culprit.startTicks, age: 0 });
      samples.push(
        { metric: 'process.pid', labels, value: culprit.pid },
        { metric: 'process.count', labels, value: group.count },
      );
      if (startSeconds === null) continue;
      const start = startSeconds + Math.floor(culprit.startTicks / TICKS_PER_SECOND);
      samples.push({ metric: 'process.start_time', labels, value: start });
    }
    said = next;
  };
}
