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
  /** Those that show it first. */
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
  'flapping-host': [],
  'reboot-storm': ['system.uptime'],
  'clock-skew': ['system.clock.offset'],
  'network-split': [],
  'restart-loop': ['container.restart.count'],
  'bad-deployment': ['http.server.request.duration', 'http.server.request.duration.count'],
  'slow-degradation': ['http.server.request.duration'],
  'certificate-expiry': ['muster.check.tls.expiry', 'muster.check.up'],
  'lost-region': [],
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

/** Of the filesystem of a host's data, so long after the beginning. */
export function usedAt({ usedBytes, dailyBytes }: HostPlan, sinceMs: number): number {
  return usedBytes + (dailyBytes * sinceMs) / DAY_MS;
}

function stageOf({ fromMs, toMs, hosts }: Incident, tMs: number, name: string): Stage {
  return { sinceMs: tMs - fromMs, forMs: toMs - fromMs, place: Math.max(0, hosts.indexOf(name)) };
}

function planIncident(
  { seed, hosts, services, regions }: FleetPlan,
  { name, atMs, forMs, count }: ScenarioOrder,
  { liveMs, number }: { readonly liveMs: number; readonly number: number },
): Incident {
  const random = seededRandom(seed, number, 77);
  const fromMs = liveMs + atMs;
  const toMs = fromMs + forMs;
  const plain = { id: `${name}-${number + 1}`, scenario: name, fromMs, toMs, metrics: SHOWN_BY[name], endsMs: null };
  const nobody = { hosts: [], services: [], containers: [] };
  const pick = (all: readonly string[]): readonly string[] => drawSome(all, count, random);
  switch (name) {
    case 'restart-loop':
      return { ...plain, ...nobody, containers: pick(hosts.flatMap((host) => host.containers.map((one) => one.name))) };
    case 'bad-deployment':
    case 'slow-degradation':
      return { ...plain, ...nobody, services: pick(services.map((service) => service.name)) };
    case 'certificate-expiry':
      return {
        ...plain,
        ...nobody,
        services: pick(services.map((service) => service.name)),
        endsMs: fromMs + forMs / 2,
      };
    case 'lost-region': {
      const lost = pick(regions.map((region) => region.name));
      return {
        ...plain,
        ...nobody,
        hosts: hosts.flatMap((host) => (lost.includes(host.region.name) ? host.name : [])),
      };
    }
    default:
      return {
        ...plain,
        ...nobody,
        hosts: pick(hosts.map((host) => host.name)),
        endsMs: name === 'disk-linear' ? toMs : null,
      };
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
