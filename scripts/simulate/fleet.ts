import { drawInteger, drawOne, seededRandom } from '../random.ts';

export const ROLES = ['web', 'db', 'batch', 'cache'] as const;
export type Role = (typeof ROLES)[number];

/** `utcHours`: how far its clocks are ahead of UTC; people are awake by those. */
export type Region = { readonly name: string; readonly utcHours: number };

/** What a simulated host is. `number` is its place in the fleet. */
export type HostPlan = {
  readonly number: number;
  readonly name: string;
  readonly role: Role;
  readonly region: Region;
  readonly labels: Readonly<Record<string, string>>;
  readonly cores: number;
  readonly memoryBytes: number;
  /** Of the filesystem of its data; of that, used at the beginning, and more each day. */
  readonly diskBytes: number;
  readonly usedBytes: number;
  readonly dailyBytes: number;
  readonly containers: readonly ContainerPlan[];
  readonly instances: readonly InstancePlan[];
};

/** `limitBytes`: of its memory. */
export type ContainerPlan = {
  readonly name: string;
  readonly image: string;
  readonly tag: string;
  readonly limitBytes: number;
};

/** One of the processes that a service consists of. `share`: of all that is asked of the service. */
export type InstancePlan = { readonly service: string; readonly instance: string; readonly share: number };

export type ServicePlan = {
  readonly name: string;
  /** At its busiest, in all. */
  readonly requestsPerS: number;
  /** What half of its requests take less than. */
  readonly medianS: number;
  /** Of all requests, when all is well. */
  readonly failedRatio: number;
  /** Where the checks of its address run. */
  readonly checkedFrom: readonly number[];
};

export type FleetPlan = {
  readonly seed: number;
  readonly regions: readonly Region[];
  readonly hosts: readonly HostPlan[];
  readonly services: readonly ServicePlan[];
};

export type FleetSize = {
  readonly seed: number;
  readonly hosts: number;
  readonly services: number;
  readonly instances: number;
  readonly containers: number;
  readonly regions: number;
};

const GIB = 1024 ** 3;
const REGIONS: readonly Region[] = [
  { name: 'eu-central', utcHours: 1 },
  { name: 'us-east', utcHours: -5 },
  { name: 'us-west', utcHours: -8 },
  { name: 'ap-south', utcHours: 5.5 },
  { name: 'ap-northeast', utcHours: 9 },
  { name: 'sa-east', utcHours: -3 },
];
/** Of twenty hosts in a row. */
const ROLES_IN_ROW: readonly Role[] =
  'web web db web cache web batch web web cache web db web batch web cache web db web batch'.split(' ') as Role[];
const SERVICES =
  'checkout cart search catalog login payments orders mail images pricing stock reviews profile sessions gateway reports billing shipping offers feed'.split(
    ' ',
  );
const SIDECARS = ['nginx', 'redis', 'fluent-bit', 'envoy', 'worker', 'cron', 'exporter', 'rabbitmq'] as const;

/** The whole fleet that follows from a size and a seed: the same again each time. */
export function planFleet(size: FleetSize): FleetPlan {
  const random = seededRandom(size.seed);
  const regions = Array.from({ length: size.regions }, (_, i) => {
    const known = REGIONS[i];
    return known ?? { name: `region-${i + 1}`, utcHours: (i % 24) - 11 };
  });
  const services = Array.from({ length: size.services }, (_, i): ServicePlan => ({
    name: SERVICES[i] ?? `service-${i + 1}`,
    requestsPerS: drawInteger(random, 20, 2_000),
    medianS: drawInteger(random, 4, 120) / 1_000,
    failedRatio: drawInteger(random, 1, 20) / 10_000,
    checkedFrom: Array.from({ length: Math.min(3, size.hosts) }, (_one, k) => (7 * i + k) % size.hosts),
  }));
  const roles = Array.from({ length: size.hosts }, (_, i) => ROLES_IN_ROW[i % ROLES_IN_ROW.length] ?? 'web');
  const instances = placeInstances(size, services, roles);
  const containers = placeContainers(size, instances, random);
  const hosts = roles.map((role, number) =>
    planHost(
      { number, role, region: regions[number % regions.length] ?? { name: 'none', utcHours: 0 }, random },
      {
        instances: instances.get(number) ?? [],
        containers: containers.get(number) ?? [],
      },
    ),
  );
  return { seed: size.seed, regions, hosts, services };
}

type Place = { readonly number: number; readonly role: Role; readonly region: Region; readonly random: () => number };

function planHost({ number, role, region, random }: Place, runs: Pick<HostPlan, 'instances' | 'containers'>): HostPlan {
  const cores = drawOne(random, [2, 4, 8, 16]);
  const diskBytes = drawOne(random, [100, 200, 500]) * GIB;
  const environment = random() < 0.9 ? 'production' : 'staging';
  return {
    number,
    name: `${role}-${region.name}-${String(number).padStart(4, '0')}`,
    role,
    region,
    labels: {
      simulated: 'true',
      region: region.name,
      role,
      env: environment,
      team: drawOne(random, ['shop', 'core', 'data']),
    },
    cores,
    memoryBytes: cores * (role === 'db' || role === 'cache' ? 8 : 4) * GIB,
    diskBytes,
    usedBytes: diskBytes * (0.25 + 0.3 * random()),
    dailyBytes: diskBytes * 0.0015 * random(),
    ...runs,
  };
}

/** On web hosts, where there are any, one after the other. */
function placeInstances(
  { instances }: FleetSize,
  services: readonly ServicePlan[],
  roles: readonly Role[],
): ReadonlyMap<number, readonly InstancePlan[]> {
  const web = [...roles.keys()].filter((number) => roles[number] === 'web');
  const homes = web.length > 0 ? web : [...roles.keys()];
  const placed = Array.from({ length: services.length === 0 ? 0 : instances }, (_, i) => {
    const service = services[i % services.length]?.name ?? '';
    const count = Math.ceil((instances - (i % services.length)) / services.length);
    const plan: InstancePlan = {
      service,
      instance: `${service}-${Math.floor(i / services.length) + 1}`,
      share: 1 / count,
    };
    return { home: homes[i % homes.length] ?? 0, plan };
  });
  return groupPlans(placed);
}

/** Each instance runs in one; the others stand beside them, everywhere. */
function placeContainers(
  { containers, hosts }: FleetSize,
  instances: ReadonlyMap<number, readonly InstancePlan[]>,
  random: () => number,
): ReadonlyMap<number, readonly ContainerPlan[]> {
  const own = [...instances].flatMap(([home, plans]) =>
    plans.map(({ service, instance }) => ({
      home,
      plan: { name: instance, image: `shop/${service}`, tag: '1.4.2', limitBytes: GIB },
    })),
  );
  const others = Array.from({ length: Math.max(0, containers - own.length) }, (_, i) => {
    const image = drawOne(random, SIDECARS);
    return { home: i % hosts, plan: { name: `${image}-${i}`, image, tag: '2', limitBytes: GIB / 2 } };
  });
  return groupPlans([...own, ...others].slice(0, containers));
}

function groupPlans<T>(
  placed: readonly { readonly home: number; readonly plan: T }[],
): ReadonlyMap<number, readonly T[]> {
  const groups = Map.groupBy(placed, ({ home }) => home);
  return new Map([...groups].map(([home, all]) => [home, all.map(({ plan }) => plan)]));
}
