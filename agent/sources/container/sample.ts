import { formatLabels } from '@muster/proto/labels';
import type { MetricName } from '@muster/proto/metric';

import { ratioOf } from '../../ratio.ts';
import { remember } from '../../remember.ts';
import type { Sample } from '../../source.ts';
import { CONTAINER_STATES, type ContainerHealth, type ContainerState, type Inspected, type Listed } from './answers.ts';
import { COUNTERS, type CounterName, type Counts, type Usage } from './usage.ts';

const COUNTER_METRICS: Readonly<Record<CounterName, MetricName>> = {
  cpu: 'container.cpu.time',
  throttled: 'container.cpu.throttled_time',
  oomKills: 'container.memory.oom_kills',
  received: 'container.network.io',
  transmitted: 'container.network.io',
  read: 'container.disk.io',
  written: 'container.disk.io',
};

const COUNTER_LABELS: Readonly<Partial<Record<CounterName, Readonly<Record<string, string>>>>> = {
  received: { 'network.io.direction': 'receive' },
  transmitted: { 'network.io.direction': 'transmit' },
  read: { 'disk.io.direction': 'read' },
  written: { 'disk.io.direction': 'write' },
};

/** The label texts of a container: of most metrics, of its counters, and of the states and healths that it has had. */
type ContainerLabels = {
  readonly all: string;
  readonly counters: Readonly<Record<CounterName, string>>;
  readonly states: Map<ContainerState, string>;
  readonly healths: Map<ContainerHealth, string>;
};

/** What is known of a container now. `totals` are its counters over restarts. */
export type Known = {
  readonly listed: Listed;
  readonly inspected: Inspected | null;
  readonly health: ContainerHealth | null;
  readonly usage: Usage | null;
  readonly totals: Counts;
  /** The label text of its `container.info`; null before it is settled. */
  readonly info: string | null;
};

/** Makes samples of what is known of containers, with label texts that are made once. */
export function makeContainerSampler() {
  const labelsOf = new Map<string, ContainerLabels>();
  const countLabelsOf = remember((state) => formatLabels({ 'container.state': state }));
  return {
    sample: (known: Known, nowMs: number): Sample[] => {
      const { name, state } = known.listed;
      const labels = labelsOf.get(name) ?? makeLabels(name);
      labelsOf.set(name, labels);
      const { health } = known;
      if (!labels.states.has(state)) labels.states.set(state, formatOf(name, { 'container.state': state }));
      if (health !== null && !labels.healths.has(health))
        labels.healths.set(health, formatOf(name, { 'container.health': health }));
      return [
        ...sampleWords('container.state', labels.states, state),
        ...sampleWords('container.health', labels.healths, health),
        ...(known.info === null ? [] : [{ metric: 'container.info' as const, labels: known.info, value: 1 }]),
        ...sampleInspected(known, labels.all, nowMs),
        ...sampleUsage(known, labels.all),
        ...COUNTERS.flatMap((counter): Sample[] => {
          const value = known.totals[counter];
          return value === undefined
            ? []
            : [{ metric: COUNTER_METRICS[counter], labels: labels.counters[counter], value }];
        }),
      ];
    },
    /** How many there are in each state, whether they have series of their own or not. */
    count: (all: readonly Listed[]): Sample[] =>
      CONTAINER_STATES.map((state) => ({
        metric: 'container.count',
        labels: countLabelsOf(state),
        value: all.filter((one) => one.state === state).length,
      })),
    keep: (isKept: (name: string) => boolean): void => {
      for (const name of labelsOf.keys()) if (!isKept(name)) labelsOf.delete(name);
    },
  };
}

function formatOf(name: string, labels: Readonly<Record<string, string>>): string {
  return formatLabels({ 'container.name': name, ...labels });
}

function makeLabels(name: string): ContainerLabels {
  const counters = COUNTERS.map((counter) => [counter, formatOf(name, COUNTER_LABELS[counter] ?? {})]);
  return {
    all: formatOf(name, {}),
    counters: Object.fromEntries(counters) as ContainerLabels['counters'], // one entry for each of COUNTERS
    states: new Map(),
    healths: new Map(),
  };
}

/** 1 for the word that holds, 0 for those that have held: an old one would otherwise seem to hold on. */
function sampleWords<K extends string>(metric: MetricName, texts: ReadonlyMap<K, string>, now: K | null): Sample[] {
  return Array.from(texts, ([word, labels]) => ({ metric, labels, value: word === now ? 1 : 0 }));
}

function sampleInspected({ listed: { state }, inspected }: Known, labels: string, nowMs: number): Sample[] {
  if (inspected === null) return [];
  const { restarts, exitCode, startedMs, cpuLimit, memoryLimitBytes } = inspected;
  const samples: Sample[] = [{ metric: 'container.restart.count', labels, value: restarts }];
  if (exitCode !== null && exitCode >= 0 && (state === 'exited' || state === 'dead'))
    samples.push({ metric: 'container.exit_code', labels, value: exitCode });
  if (startedMs !== null && nowMs >= startedMs && (state === 'running' || state === 'paused'))
    samples.push({ metric: 'container.uptime', labels, value: (nowMs - startedMs) / 1000 });
  if (cpuLimit !== null) samples.push({ metric: 'container.cpu.limit', labels, value: cpuLimit });
  if (memoryLimitBytes !== null) samples.push({ metric: 'container.memory.limit', labels, value: memoryLimitBytes });
  return samples;
}

function sampleUsage({ inspected, usage }: Known, labels: string): Sample[] {
  if (usage === null) return [];
  const { memoryBytes, inactiveFileBytes, threads } = usage;
  const samples: Sample[] = [];
  if (threads !== null) samples.push({ metric: 'container.thread.count', labels, value: threads });
  if (memoryBytes === null) return samples;
  samples.push({ metric: 'container.memory.usage', labels, value: memoryBytes });
  if (inactiveFileBytes === null) return samples;
  // They are read one after the other, and may not belong to the same instant.
  const workingSetBytes = Math.max(0, memoryBytes - inactiveFileBytes);
  samples.push({ metric: 'container.memory.working_set', labels, value: workingSetBytes });
  const limitBytes = inspected?.memoryLimitBytes ?? null;
  if (limitBytes === null) return samples;
  samples.push({ metric: 'container.memory.utilization', labels, value: ratioOf(workingSetBytes, limitBytes) });
  return samples;
}

/** The label text that says which container has a name: twelve digits of its id, its image, and where compose has it. */
export function formatInfo({ id, name, image, composeProject, composeService }: Listed): string {
  const [, repository = image, tag = ''] = /^(.+?)(?::([^/:@]+))?(?:@.*)?$/.exec(image) ?? [];
  return formatLabels({
    'container.id': id.slice(0, 12),
    'container.image.name': repository,
    'container.image.tags': tag,
    'container.name': name,
    ...(composeProject === null
      ? {}
      : { 'com.docker.compose.project': composeProject, 'com.docker.compose.service': composeService ?? '' }),
  });
}
