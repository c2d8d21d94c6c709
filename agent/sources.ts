import { statfs } from 'node:fs/promises';
import { hostname } from 'node:os';

import { describeError, type Log } from '@muster/proto/log';
import { err } from '@muster/proto/result';
import * as v from 'valibot';

import { LISTEN_SETTINGS } from './custom/listen.ts';
import { makeSeriesPool, type SeriesPool } from './custom/series.ts';
import type { SourceCost } from './reader.ts';
import type { Keep } from './rebase.ts';
import { scheduleTimer } from './schedule.ts';
import { flag, list, map, percent, text, time } from './settings.ts';
import type { Source } from './source.ts';
import { makeAgentSource } from './sources/agent.ts';
import { makeCheckSource } from './sources/check.ts';
import type { Check } from './sources/checks/check.ts';
import { runProbe } from './sources/checks/run.ts';
import { makeClockSource, type ClockOffset } from './sources/clock.ts';
import { makeConnectionSource } from './sources/connection.ts';
import { CONTAINER_SETTINGS, openContainerSource } from './sources/containers.ts';
import { makeCpuSource } from './sources/cpu.ts';
import { makeDiskSource } from './sources/disk.ts';
import { makeFilesystemSource, STATFS_MS_MAX } from './sources/filesystem.ts';
import { makeFrequencySource } from './sources/frequency.ts';
import { makeGpuSource } from './sources/gpu.ts';
import { makeConntrackSource, makeHandleSource } from './sources/handle.ts';
import { makeLinkSource } from './sources/link.ts';
import { makeLoadSource } from './sources/load.ts';
import { makeMemorySource } from './sources/memory.ts';
import { makeNetworkSource } from './sources/network.ts';
import { makeOomSource } from './sources/oom.ts';
import { makePagingSource } from './sources/paging.ts';
import { makePressureSource } from './sources/pressure.ts';
import { makeProcessSource } from './sources/process.ts';
import { makeSensorSource } from './sources/sensor.ts';
import { makeTcpSource } from './sources/tcp.ts';
import { makeTextfileSource, TEXTFILE_SETTINGS } from './sources/textfile.ts';
import { makeUnitSource } from './sources/unit.ts';
import { makeUptimeSource } from './sources/uptime.ts';
import { makeUserSource } from './sources/user.ts';

/** What a source is given of the agent, besides its own settings. */
export type SourceSurroundings = {
  /** The files of the machine are below this: `/`, or what was captured of another one. */
  readonly root: string;
  /** The wall clock. */
  readonly now: () => number;
  readonly listCosts: () => readonly SourceCost[];
  /** What the configuration lists below `checks`. */
  readonly checks: readonly Check[];
  /** Where a source says once what whoever switched it on must know. */
  readonly log?: Log;
  readonly readClockOffset: () => ClockOffset | null;
  /** Where a source of this name keeps a little over restarts. */
  readonly keepFor: (name: string) => Keep;
};

type Given = SourceSurroundings & {
  /** What `cpu` says in its settings; it holds for its readings whether or not the source looks at it. */
  readonly cpuRatioMax: number | undefined;
  /** The series that are not ours, of all sources. */
  readonly pool: SeriesPool;
};

/** A kind of source: its own settings in the configuration, below `sources`, and how one is made of them. */
export type SourceKind<E extends v.ObjectEntries = v.ObjectEntries> = {
  /** In a few words, for `doctor`. */
  readonly title: string;
  /** Whether it runs where the configuration says nothing of it. */
  readonly isOn: boolean;
  /** Others send to it: while an agent runs, nobody else can open it. */
  readonly listens?: true;
  /** All of them optional. */
  readonly settings: E;
  readonly open: (
    settings: v.InferOutput<v.ObjectSchema<E, undefined>>,
    surroundings: Given,
  ) => Source | Promise<Source>;
};

/** Every source there is, by its name in the configuration. The order is that of `sample` and `doctor`. */
export const SOURCES = {
  cpu: plain('processors: time by mode and core', makeCpuSource),
  frequency: plain('the clock of each core', makeFrequencySource),
  memory: plain('memory and swap', makeMemorySource),
  paging: plain('paging: pages swapped, faults', makePagingSource),
  oom: kind({
    title: 'processes killed for want of memory',
    isOn: true,
    settings: {},
    open: (_settings, { root, now }) => makeOomSource({ root, now }),
  }),
  load: plain('load averages', makeLoadSource),
  pressure: plain('pressure (PSI): who waits for the CPU, memory, disks', makePressureSource),
  disks: kind({
    title: 'disks: what they read and wrote',
    isOn: true,
    settings: {},
    open: (_settings, { root, keepFor }) => makeDiskSource(root, keepFor('disks')),
  }),
  filesystems: kind({
    title: 'filesystems: space and inodes',
    isOn: true,
    settings: {},
    open: (_settings, { root }) =>
      makeFilesystemSource({ root, statfs: (path) => statfs(path), statfsMsMax: STATFS_MS_MAX }),
  }),
  network: kind({
    title: 'network interfaces: what they carried',
    isOn: true,
    settings: {},
    open: (_settings, { root, keepFor }) => makeNetworkSource(root, keepFor('network')),
  }),
  links: plain('network interfaces: up, speed', makeLinkSource),
  tcp: plain('TCP: segments, retransmits, connections opened and refused', makeTcpSource),
  connections: plain('TCP connections by state', makeConnectionSource),
  conntrack: plain('connections that the firewall follows', makeConntrackSource),
  handles: plain('open files', makeHandleSource),
  processes: kind({
    title: 'processes: how many, and which use the most CPU, memory and disk',
    isOn: true,
    settings: { arguments: v.optional(flag) },
    open: ({ arguments: hasArguments = false }, { root, now }) => makeProcessSource({ root, hasArguments, now }),
  }),
  units: kind({
    title: 'units of systemd: states, restarts, CPU and memory of services',
    isOn: true,
    settings: { include: v.optional(list(text)), exclude: v.optional(list(text)) },
    open: ({ include = null, exclude = [] }, { root }) => makeUnitSource({ root, include, exclude }),
  }),
  sensors: kind({
    title: 'sensors: temperatures, fans, power, voltages',
    isOn: true,
    settings: {},
    open: (_settings, { root }) => makeSensorSource({ root, nowMs: () => performance.now() }),
  }),
  gpu: kind({
    title: 'graphics cards: load, memory, temperature',
    isOn: true,
    settings: { 'nvidia-smi': v.optional(flag) },
    open: ({ 'nvidia-smi': isAsked = false }, { root, now }) =>
      makeGpuSource({ root, nvidia: isAsked ? { program: 'nvidia-smi', now } : null }),
  }),
  smart: kind({
    title: 'health of disks, by smartctl, which is started once for each of them',
    isOn: false,
    settings: {},
    open: async (_settings, { root }) =>
      (await import('./sources/smart.ts')).makeSmartSource({ root, program: 'smartctl' }),
  }),
  users: plain('sessions of people logged in', makeUserSource),
  uptime: plain('uptime', makeUptimeSource),
  checks: kind({
    title: 'checks: services that this host looks at',
    isOn: true,
    settings: {},
    open: (_settings, { root, now, checks }) =>
      makeCheckSource({
        checks,
        salt: hostname(),
        root,
        now,
        nowMs: () => performance.now(),
        schedule: scheduleTimer,
        runProbe,
      }),
  }),
  statsd: kind({
    title: 'custom metrics that services send as StatsD, over UDP',
    isOn: false,
    listens: true,
    settings: LISTEN_SETTINGS,
    // Loaded when it is on: servers are of no use to those who switch none on.
    open: async (settings, given) => (await import('./sources/statsd.ts')).openStatsdSource({ settings, ...given }),
  }),
  otlp: kind({
    title: 'custom metrics that services export as OTLP, over HTTP',
    isOn: false,
    listens: true,
    settings: LISTEN_SETTINGS,
    open: async (settings, given) => (await import('./sources/otlp.ts')).openOtlpSource({ settings, ...given }),
  }),
  textfile: kind({
    title: 'custom metrics in files in the Prometheus format',
    isOn: true,
    settings: TEXTFILE_SETTINGS,
    open: (settings, given) => makeTextfileSource({ settings, ...given }),
  }),
  containers: kind({
    title: 'containers of Docker or Podman',
    isOn: false,
    settings: CONTAINER_SETTINGS,
    open: openContainerSource,
  }),
  clock: kind({
    title: 'the clock, beside the collector’s',
    isOn: true,
    settings: {},
    open: (_settings, { readClockOffset }) => makeClockSource(readClockOffset),
  }),
  agent: kind({
    title: 'what the agent itself costs',
    isOn: true,
    settings: {},
    open: (_settings, { listCosts }) => makeAgentSource({ listCosts }),
  }),
} as const;

export type SourceName = keyof typeof SOURCES;
export const SOURCE_NAMES = Object.keys(SOURCES) as readonly SourceName[]; // the keys of just that

/** Settings that every source has: how often it is read at most, and which share of a core it may use. */
const COMMON = { every: v.optional(time(1_000, 86_400_000)), cpu: v.optional(percent(100)) };

/** What a configuration file may say of the sources: of each `false`, `true`, or its settings, which switch it on. */
export const SOURCES_SCHEMA = map(
  Object.fromEntries(
    SOURCE_NAMES.map((name) => [name, v.optional(switchOr({ ...COMMON, ...SOURCES[name].settings }))]),
  ),
);

type Said = boolean | Readonly<Record<string, unknown>>;
export type SourceSettings = Readonly<Partial<Record<SourceName, Said>>>;

function switchOr(entries: v.ObjectEntries) {
  return v.lazy((input) =>
    typeof input === 'object' && input !== null ? map(entries) : v.boolean('true, false or a map of its settings'),
  );
}

export function isOn(name: SourceName, settings: SourceSettings): boolean {
  return (settings[name] ?? SOURCES[name].isOn) !== false;
}

/** Opens the sources that are on, in their order. One that cannot be opened is one that says why, at each reading. */
export async function openSources(
  settings: SourceSettings,
  surroundings: SourceSurroundings,
): Promise<readonly Source[]> {
  const sources: Source[] = [];
  const pool = makeSeriesPool();
  for (const name of SOURCE_NAMES) {
    if (!isOn(name, settings)) continue;
    const said = settings[name];
    const { every, cpu, ...own } = typeof said === 'object' ? said : ({} as Readonly<Record<string, unknown>>);
    const cpuRatioMax = typeof cpu === 'number' ? cpu : undefined;
    const source = await openSource(name, own, { ...surroundings, pool, cpuRatioMax });
    sources.push({
      ...source,
      ...(typeof every === 'number' ? { everyMs: every } : {}),
      ...(cpuRatioMax === undefined ? {} : { cpuRatioMax }),
    });
  }
  return sources;
}

async function openSource(
  name: SourceName,
  settings: Readonly<Record<string, unknown>>,
  given: Given,
): Promise<Source> {
  try {
    return await (SOURCES[name] as SourceKind).open(settings, given);
  } catch (cause) {
    const reason = describeError(cause);
    return { name, read: () => err(reason) };
  }
}

function kind<E extends v.ObjectEntries>(one: SourceKind<E>): SourceKind<E> {
  return one;
}

/** One that only reads files of the kernel. */
function plain(title: string, make: (root: string) => Source): SourceKind<{}> {
  return { title, isOn: true, settings: {}, open: (_settings, { root }) => make(root) };
}
