import { seededRandom } from '../random.ts';
import { makeEffects, type ContainerEffects, type Effects, type ServiceEffects } from './effects.ts';
import type { FleetPlan, HostPlan } from './fleet.ts';
import type { ScenarioName, ScenarioOrder } from './scenario.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

/** What is true: what befell whom, and when. A host is named as it was planned. */
export type Incident = {
  readonly id: string;
  readonly scenario: ScenarioName;
  readonly fromMs: number;
  readonly toMs: number;
  readonly hosts: readonly string[];
  readonly services: readonly string[];
  readonly containers: readonly string[];
  /** The hosts on which it is to be seen: its own, or those that run or check what it befalls. */
  readonly seenOn: readonly string[];
  /** Those that show it first; none: nobody is to be told of it. */
  readonly metrics: readonly string[];
  /** When a filesystem is full, or a certificate expires; null where nothing runs out. */
  readonly endsMs: number | null;
};

/** What befalls a fleet, at any time, from the seed and the orders alone. */
export type World = {
  readonly incidents: readonly Incident[];
  readonly ofHost: (host: HostPlan, tMs: number) => Effects;
  readonly ofService: (service: string, tMs: number) => ServiceEffects;
  readonly ofContainer: (container: string, tMs: number) => ContainerEffects;
};

/** Where an incident stands: how long it lasts already, of how long, and the how-manieth of its hosts this is. */
type Stage = { readonly sinceMs: number; readonly forMs: number; readonly place: number };
type Act = (effects: Effects, stage: Stage, host: HostPlan & { readonly freeBytes: number }) => void;

const MAINTAINED_EVERY_DAYS = 28;
const MAINTENANCE = { atMs: 150 * MINUTE_MS, forMs: 30 * MINUTE_MS } as const;
const TEETH = 8;
const REBOOTS = 3;
const REBOOT_MS = 90_000;
const FLAP_MS = 4 * MINUTE_MS;
const RESTART_EVERY_MS = 90_000;
const RESTART_MS = 20_000;

const SHOWN_BY: Readonly<Record<ScenarioName, readonly string[]>> = {
  'disk-linear': ['system.filesystem.utilization'],
  'disk-saw-tooth': [],
  'disk-sudden': ['system.filesystem.utilization'],
  'memory-leak': ['system.memory.utilization', 'system.memory.oom_kills'],
  'noisy-neighbour': ['system.cpu.utilization', 'system.pressure.stall_time'],
  'cpu-saturation': ['system.cpu.utilization', 'system.cpu.load_average.1m'],
  'flapping-host': ['system.uptime'],
  'reboot-storm': ['system.uptime'],
  'clock-skew': ['system.clock.offset'],
  'network-split': ['system.uptime'],
  'restart-loop': ['container.restart.count'],
  'bad-deployment': ['http.server.request.duration', 'http.server.request.duration.count'],
  'slow-degradation': ['http.server.request.duration'],
  'certificate-expiry': ['muster.check.tls.expiry', 'muster.check.up'],
  'lost-region': ['system.uptime'],
};

const ACTS: Partial<Readonly<Record<ScenarioName, Act>>> = {
  'disk-linear': (effects, { sinceMs, forMs }, { freeBytes }) => (effects.diskBytes += (freeBytes * sinceMs) / forMs),
  'disk-saw-tooth': (effects, { sinceMs, forMs }, { freeBytes }) =>
    (effects.diskBytes += 0.8 * freeBytes * (((TEETH * sinceMs) / forMs) % 1)),
  'disk-sudden': (effects, { sinceMs }, { freeBytes, diskBytes }) =>
    (effects.diskBytes += Math.min(1, sinceMs / (10 * MINUTE_MS)) * Math.max(0, freeBytes - 0.03 * diskBytes)),
  'memory-leak': (effects, { sinceMs, forMs }, { memoryBytes }) =>
    (effects.memoryBytes += (0.9 * memoryBytes * sinceMs) / forMs),
  'noisy-neighbour': (effects) => {
    effects.steal += 0.33;
    effects.slowness *= 1.8;
  },
  'cpu-saturation': (effects) => (effects.cpu += 0.95),
  'flapping-host': (effects, { sinceMs }) => (effects.isCutOff ||= Math.floor(sinceMs / FLAP_MS) % 2 === 0),
  'reboot-storm': (effects, { sinceMs, forMs, place }) => {
    const ownMs = sinceMs - place * 30_000;
    const everyMs = forMs / (REBOOTS + 1);
    effects.isOff ||= ownMs >= 0 && ownMs < REBOOTS * everyMs && ownMs % everyMs < REBOOT_MS;
  },
  'clock-skew': (effects, { sinceMs, forMs }) => (effects.clockMs += Math.round((90_000 * sinceMs) / forMs)),
  'network-split': (effects) => (effects.isCutOff = true),
  'lost-region': (effects) => (effects.isOff = true),
};

const SERVICE_ACTS: Partial<Readonly<Record<ScenarioName, (effects: ServiceEffects, stage: Stage) => void>>> = {
  'bad-deployment': (effects) => {
    effects.slowness *= 3;
    effects.failedRatio += 0.125;
  },
  'slow-degradation': (effects, { sinceMs, forMs }) => (effects.slowness *= 1 + (3 * sinceMs) / forMs),
};

/** `fromMs`: when the simulated time began; `liveMs`: from when on the orders count. */
export function makeWorld(
  fleet: FleetPlan,
  orders: readonly ScenarioOrder[],
  times: { readonly fromMs: number; readonly liveMs: number },
): World {
  const incidents = orders.map((order, i) => planIncident(fleet, order, { ...times, number: i }));
  const byHost = groupBy(incidents, ({ hosts }) => hosts);
  const byService = groupBy(incidents, ({ services }) => services);
  const byContainer = groupBy(incidents, ({ containers }) => containers);
  return {
    incidents,
    ofHost(host, tMs) {
      const effects = makeEffects();
      maintain(effects, host, tMs);
      for (const incident of byHost.get(host.name) ?? []) {
        if (incident.scenario === 'memory-leak' && tMs >= incident.toMs) effects.oomKills += 1;
        if (tMs < incident.fromMs || tMs >= incident.toMs) continue;
        const freeBytes = host.diskBytes - usedAt(host, incident.toMs - times.fromMs);
        ACTS[incident.scenario]?.(effects, stageOf(incident, tMs, host.name), { ...host, freeBytes });
      }
      return effects;
    },
    ofService(service, tMs) {
      const effects: ServiceEffects = { slowness: 1, failedRatio: 0, expiryMs: null };
      for (const incident of byService.get(service) ?? []) {
        if (tMs >= incident.toMs) continue;
        if (incident.endsMs !== null) effects.expiryMs = incident.endsMs;
        if (tMs >= incident.fromMs) SERVICE_ACTS[incident.scenario]?.(effects, stageOf(incident, tMs, service));
      }
      return effects;
    },
    ofContainer(container, tMs) {
      const effects: ContainerEffects = { restarts: 0, isDown: false };
      for (const { fromMs, toMs } of byContainer.get(container) ?? []) {
        if (tMs < fromMs) continue;
        const sinceMs = Math.min(tMs, toMs) - fromMs;
        effects.restarts += Math.floor(sinceMs / RESTART_EVERY_MS);
        effects.isDown ||= tMs < toMs && sinceMs % RESTART_EVERY_MS >= RESTART_EVERY_MS - RESTART_MS;
      }
      return effects;
    },
  };
}

/**
 * Every four weeks, in a night of its own, a host is brought up to date: that takes a quarter of its cores for half an hour, and it
 * restarts at the end. Nobody is to be told of that.
 */
function maintain(effects: Effects, { number, region }: HostPlan, tMs: number): void {
  const localMs = tMs + region.utcHours * 60 * MINUTE_MS;
  if ((Math.floor(localMs / DAY_MS) + number) % MAINTAINED_EVERY_DAYS !== 0) return;
  const sinceMs = (localMs % DAY_MS) - MAINTENANCE.atMs - (number % 60) * MINUTE_MS;
  if (sinceMs < 0 || sinceMs >= MAINTENANCE.forMs + REBOOT_MS) return;
  if (sinceMs < MAINTENANCE.forMs) effects.cpu += 0.25;
  else effects.isOff = effects.isPlanned = true;
}

/** Of the filesystem of a host's data, so long after the beginning. */
export function usedAt({ usedBytes, dailyBytes }: HostPlan, sinceMs: number): number {
  return usedBytes + (dailyBytes * sinceMs) / DAY_MS;
}

function stageOf({ fromMs, toMs, hosts }: Incident, tMs: number, name: string): Stage {
  return { sinceMs: tMs - fromMs, forMs: toMs - fromMs, place: Math.max(0, hosts.indexOf(name)) };
}

function planIncident(fleet: FleetPlan, order: ScenarioOrder, place: Place): Incident {
  const { name, atMs, forMs } = order;
  const fromMs = place.liveMs + atMs;
  const toMs = fromMs + forMs;
  const struck = { ...NOBODY, ...strike(fleet, order, seededRandom(fleet.seed, place.number, 77)) };
  const { hosts, services, containers } = struck;
  const seenOn = fleet.hosts.filter(
    (host) =>
      hosts.includes(host.name) ||
      host.containers.some((one) => containers.includes(one.name)) ||
      host.instances.some((one) => services.includes(one.service)) ||
      fleet.services.some((one) => services.includes(one.name) && one.checkedFrom.includes(host.number)),
  );
  return {
    id: `${name}-${place.number + 1}`,
    scenario: name,
    fromMs,
    toMs,
    ...struck,
    seenOn: seenOn.map((host) => host.name),
    metrics: SHOWN_BY[name],
    endsMs: ENDS[name]?.(fromMs, forMs) ?? null,
  };
}

type Place = { readonly liveMs: number; readonly number: number };

const NOBODY = { hosts: [], services: [], containers: [] };

/** When a filesystem is full, or a certificate expires. */
const ENDS: Partial<Readonly<Record<ScenarioName, (fromMs: number, forMs: number) => number>>> = {
  'disk-linear': (fromMs, forMs) => fromMs + forMs,
  'certificate-expiry': (fromMs, forMs) => fromMs + forMs / 2,
};

/** Whom a scenario befalls. */
function strike(
  { hosts, services, regions }: FleetPlan,
  { name, count }: ScenarioOrder,
  random: () => number,
): Partial<Pick<Incident, 'hosts' | 'services' | 'containers'>> {
  const pick = (all: readonly { readonly name: string }[]): readonly string[] =>
    drawSome(
      all.map((one) => one.name),
      count,
      random,
    );
  switch (name) {
    case 'restart-loop':
      return { containers: pick(hosts.flatMap((host) => host.containers)) };
    case 'bad-deployment':
    case 'slow-degradation':
    case 'certificate-expiry':
      return { services: pick(services) };
    case 'lost-region': {
      const lost = pick(regions);
      return { hosts: hosts.filter((host) => lost.includes(host.region.name)).map((host) => host.name) };
    }
    default:
      return { hosts: pick(hosts) };
  }
}

function drawSome(all: readonly string[], count: number, random: () => number): readonly string[] {
  const left = [...all];
  return Array.from(
    { length: Math.min(count, all.length) },
    () => left.splice(Math.floor(random() * left.length), 1)[0] ?? '',
  );
}

function groupBy(
  incidents: readonly Incident[],
  namesOf: (incident: Incident) => readonly string[],
): ReadonlyMap<string, readonly Incident[]> {
  const groups = new Map<string, Incident[]>();
  for (const incident of incidents)
    for (const name of namesOf(incident)) groups.set(name, [...(groups.get(name) ?? []), incident]);
  return groups;
}
