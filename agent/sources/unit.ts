import { join } from 'node:path';

import { formatLabels } from '@muster/proto/labels';
import { ok, type Result } from '@muster/proto/result';

import { remember } from '../remember.ts';
import type { Finding, Sample, Source } from '../source.ts';
import type { CgroupUse } from './cgroup.ts';
import { makeGlobs } from './globs.ts';
import { withoutNumbers } from './process/cgroup.ts';
import { openBus, SHUT_OUT, type Bus } from './unit/dbus.ts';
import { listUnits, readRestarts, type Unit } from './unit/list-units.ts';
import { openServiceGroups, type ServiceGroups } from './unit/service-group.ts';

const EVERY_MS = 30_000;
/** A manager that takes longer has other worries; its units come with the next reading. */
const DEADLINE_MS = 2_000;
/** More than a host has services. */
const UNITS_MAX = 200;

const STATES = ['active', 'reloading', 'inactive', 'failed', 'activating', 'deactivating'] as const;

export type UnitOptions = {
  readonly root: string;
  /** Patterns of names in which `*` and `?` stand for others; null: all services that run or have failed. */
  readonly include: readonly string[] | null;
  readonly exclude: readonly string[];
};

/**
 * The units of systemd: how many are in which state, and of each service its state, restarts, CPU, memory and tasks.
 * The manager is asked over the system bus, the rest is in control groups and known without it.
 */
export function makeUnitSource({ root, ...choice }: UnitOptions): Source {
  const bus = keepBus(join(root, 'run/dbus/system_bus_socket'));
  const isWanted = makeChoice(choice);
  const sampleStates = makeStateSampler();
  let findings: readonly Finding[] = [];
  return {
    name: 'units',
    everyMs: EVERY_MS,
    read: async () => {
      const groups = openServiceGroups(root);
      const units = await bus.use(listUnits);
      findings = units.ok ? [] : explain(units.error, groups);
      if (!units.ok && groups.paths.size === 0) return ok({ samples: [], remark: `no systemd: ${units.error}` });
      const known = units.ok ? units.value : [...groups.paths.keys()].map(toUnit);
      const services = measure(known.filter(isWanted), groups);
      const chosen = services.slice(0, UNITS_MAX);
      const samples = chosen.flatMap(({ unit, use }) => sampleUse(unit.name, use));
      if (units.ok) {
        samples.push(...countStates(known), ...sampleStates(chosen.map(({ unit }) => unit)));
        samples.push(...(await bus.use(async (one) => ok(await sampleRestarts(one, chosen))).then(orNone)));
      }
      const remarks = [
        ...(units.ok
          ? []
          : [`no states and restarts: ${units.error}${units.error === SHUT_OUT ? `; ${MAKE_USER}` : ''}`]),
        ...(services.length > UNITS_MAX
          ? [`more than ${UNITS_MAX} services: those with the least memory left out`]
          : []),
      ];
      return ok({ samples, ...(remarks.length === 0 ? {} : { remark: remarks.join('; ') }) });
    },
    diagnose: async () => findings,
    close: async () => bus.close(),
  };
}

const FIND_BUS = 'install dbus and start dbus.socket; in a container mount /run/dbus; in a unit allow AF_UNIX';
/** A user of the name that the unit has takes the place of the dynamic one: systemd.exec(5), "DynamicUser". */
const MAKE_USER =
  'give the service a user that stays: systemctl stop muster-agent && useradd --system muster-agent && systemctl start muster-agent';

function explain(reason: string, groups: ServiceGroups): readonly Finding[] {
  if (groups.paths.size === 0) return [];
  const next = reason === SHUT_OUT ? MAKE_USER : FIND_BUS;
  return [{ what: `the system bus cannot be used (${reason})`, next }];
}

/** Keeps the bus open from reading to reading, and opens it anew when it was closed meanwhile. */
function keepBus(path: string) {
  let bus: Bus | null = null;
  return {
    use: async <T>(ask: (bus: Bus) => Promise<Result<T, string>>): Promise<Result<T, string>> => {
      if (bus?.isOpen() !== true) {
        const opened = await openBus(path, DEADLINE_MS);
        if (!opened.ok) return opened;
        bus = opened.value;
      }
      return ask(bus);
    },
    close: () => bus?.close(),
  };
}

function orNone(samples: Result<readonly Sample[], string>): readonly Sample[] {
  return samples.ok ? samples.value : [];
}

/** What is known of a service of which there is only the control group. */
function toUnit(name: string): Unit {
  return { name, loadState: 'loaded', activeState: 'active', path: '' };
}

/** Units that are made once for each command or connection are counted only: each would be a series of its own. */
function makeChoice({ include, exclude }: Omit<UnitOptions, 'root'>): (unit: Unit) => boolean {
  const isIncluded = include === null ? null : makeGlobs(include);
  const isExcluded = makeGlobs(exclude);
  const isLasting = remember((name) => withoutNumbers(name) === name);
  const seen = new Set<string>();
  return ({ name, loadState, activeState }) => {
    if (isExcluded(name) || !isLasting(name)) return false;
    if (activeState === 'failed') return true;
    if (isIncluded !== null) return isIncluded(name);
    if (!name.endsWith('.service') || loadState !== 'loaded') return false;
    if (activeState === 'inactive') return seen.has(name); // one that ran and was stopped is news
    if (seen.size < UNITS_MAX) seen.add(name);
    return true;
  };
}

type Measured = { readonly unit: Unit; readonly use: CgroupUse };
const NOTHING: CgroupUse = { cpuSeconds: null, memoryBytes: null, tasks: null };

/** Those that failed first, then by their memory. */
function measure(units: readonly Unit[], groups: ServiceGroups): readonly Measured[] {
  const measured = units.map((unit) => {
    const path = groups.paths.get(unit.name);
    return { unit, use: path === undefined ? NOTHING : groups.read(path) };
  });
  const weigh = ({ unit, use }: Measured) => (unit.activeState === 'failed' ? Infinity : (use.memoryBytes ?? 0));
  return measured.toSorted((a, b) => (weigh(a) === weigh(b) ? 0 : weigh(b) - weigh(a)));
}

const labelsOf = remember((name) => formatLabels({ 'systemd.unit.name': name }));

function sampleUse(name: string, { cpuSeconds, memoryBytes, tasks }: CgroupUse): Sample[] {
  const labels = labelsOf(name);
  const samples: Sample[] = [];
  if (cpuSeconds !== null) samples.push({ metric: 'systemd.service.cpu.time', labels, value: cpuSeconds });
  if (memoryBytes !== null) samples.push({ metric: 'systemd.service.memory.usage', labels, value: memoryBytes });
  if (tasks !== null) samples.push({ metric: 'systemd.service.tasks', labels, value: tasks });
  return samples;
}

async function sampleRestarts(bus: Bus, chosen: readonly Measured[]): Promise<readonly Sample[]> {
  const services = chosen.filter(({ unit }) => unit.name.endsWith('.service'));
  const counts = await Promise.all(services.map(({ unit }) => readRestarts(bus, unit)));
  return services.flatMap(({ unit }, index): Sample[] => {
    const value = counts[index] ?? null;
    return value === null ? [] : [{ metric: 'systemd.service.restarts', labels: labelsOf(unit.name), value }];
  });
}

const STATE_LABELS = STATES.map((state) => ({ state, labels: formatLabels({ 'systemd.unit.active_state': state }) }));

/** A state that is not among them (a systemd of tomorrow) is not counted. */
function countStates(units: readonly Unit[]): Sample[] {
  return STATE_LABELS.map(({ state, labels }) => {
    const value = units.filter(({ activeState }) => activeState === state).length;
    return { metric: 'systemd.unit.count', labels, value };
  });
}

/** 1 for the state that a unit is in, and 0 for those in which it was: most units know only one. */
function makeStateSampler(): (units: readonly Unit[]) => Sample[] {
  let statesByName: ReadonlyMap<string, ReadonlyMap<string, string>> = new Map();
  return (units) => {
    const next = new Map<string, ReadonlyMap<string, string>>();
    const samples: Sample[] = [];
    for (const { name, activeState } of units) {
      const before = statesByName.get(name);
      const states = before?.has(activeState) === true ? before : withState(before, name, activeState);
      next.set(name, states);
      for (const [state, labels] of states) {
        samples.push({ metric: 'systemd.unit.state', labels, value: state === activeState ? 1 : 0 });
      }
    }
    statesByName = next;
    return samples;
  };
}

/** A unit that is no longer there is in no state, which is said by nobody: it was unloaded on purpose. */
function withState(before: ReadonlyMap<string, string> | undefined, name: string, activeState: string) {
  if (!STATES.some((state) => state === activeState)) return before ?? new Map<string, string>();
  const labels = formatLabels({ 'systemd.unit.active_state': activeState, 'systemd.unit.name': name });
  return new Map([...(before ?? []), [activeState, labels]]);
}
