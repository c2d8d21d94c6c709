import type { LatestValue } from '@muster/proto/api';
import type { MetricName } from '@muster/proto/metric';

import { compareNames } from '../compare-names.ts';
import { UNKNOWN } from '../format.ts';
import { readTold, readWord, takeReading, type Told } from './reading.ts';

/** One container as it is now. null: not known; of `health` also: its image has no check. */
export type Container = {
  readonly name: string;
  readonly image: string;
  readonly state: string | null;
  /** Of one that has ended. */
  readonly exitCode: number | null;
  readonly health: string | null;
  readonly cores: number | null;
  /** What it could not give back: without the page cache, where that is known. */
  readonly memoryBytes: number | null;
  readonly memoryLimitBytes: number | null;
  readonly restarts: number | null;
};

const METRICS: readonly MetricName[] = [
  'container.info',
  'container.state',
  'container.health',
  'container.exit_code',
  'container.restart.count',
  'container.cpu.time',
  'container.memory.usage',
  'container.memory.working_set',
  'container.memory.limit',
];

/** The containers of a host at `atMs`, by its clock: those in trouble first, then those that run. */
export function listContainers(latest: Iterable<LatestValue>, atMs: number): Container[] {
  const groups = Map.groupBy(takeReading(latest, METRICS, atMs), ({ labels }) => labels['container.name'] ?? '');
  return [...groups]
    .map(([name, told]) => makeContainer(name, told))
    .toSorted((a, b) => rank(a) - rank(b) || compareNames(a.name, b.name));
}

function makeContainer(name: string, told: readonly Told[]): Container {
  const info = told.find(({ metric }) => metric === 'container.info')?.labels ?? {};
  const images = [info['container.image.name'] ?? '', info['container.image.tags'] ?? ''];
  return {
    name,
    image: images.filter((part) => part !== '').join(':'),
    state: readWord(told, 'container.state', 'container.state'),
    exitCode: readTold(told, 'container.exit_code'),
    health: readWord(told, 'container.health', 'container.health'),
    cores: readTold(told, 'container.cpu.time'),
    memoryBytes: readTold(told, 'container.memory.working_set') ?? readTold(told, 'container.memory.usage'),
    memoryLimitBytes: readTold(told, 'container.memory.limit'),
    restarts: readTold(told, 'container.restart.count'),
  };
}

export function isTroubled({ state, health, exitCode }: Container): boolean {
  if (state === 'restarting' || state === 'dead' || health === 'unhealthy') return true;
  return state === 'exited' && exitCode !== null && exitCode !== 0;
}

/** What matters most of its state, and beside that what else is known of it. */
export function describeState({ state, health, exitCode }: Container): {
  readonly word: string;
  readonly hint: string;
} {
  const word = state ?? UNKNOWN;
  if (health === 'unhealthy') return { word: health, hint: word };
  return { word, hint: health ?? (exitCode === null ? '' : `code ${exitCode}`) };
}

function rank(container: Container): number {
  if (isTroubled(container)) return 0;
  return container.state === 'running' ? 1 : 2;
}
