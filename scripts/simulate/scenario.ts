import { err, ok, type Result } from '@muster/proto/result';

import { parseDuration } from '../parse-duration.ts';

/** What can befall a fleet, each with what it is for a person who reads the list. */
export const SCENARIOS = {
  'disk-linear': 'the filesystem of a host’s data fills steadily, and is full at the end',
  'disk-saw-tooth': 'it fills and is emptied again and again, and is never full',
  'disk-sudden': 'it fills within ten minutes to 97 %, and is cleaned up at the end',
  'memory-leak': 'a process takes more and more memory, until the kernel kills it at the end',
  'noisy-neighbour': 'others on the same machine take a third of a host’s cores',
  'cpu-saturation': 'all cores are busy while nothing more than usual is asked of the host',
  'flapping-host': 'a host falls silent and comes back, every few minutes',
  'reboot-storm': 'hosts restart, one shortly after the other, three times each',
  'clock-skew': 'the clock of a host runs ahead by up to 90 s',
  'network-split': 'hosts cannot reach the collector; they keep what they have, and send it at the end',
  'restart-loop': 'a container ends again and again, and is started again',
  'bad-deployment': 'a service answers three times as slowly, and every eighth request fails',
  'slow-degradation': 'a service takes longer and longer, four times as long at the end',
  'certificate-expiry': 'the certificate of a service expires halfway, and is renewed at the end',
  'lost-region': 'all hosts of a region are gone at once',
} as const;

export type ScenarioName = keyof typeof SCENARIOS;

/** One that is to come: when it begins, from the start of the live part; how long it takes; how many it befalls. */
export type ScenarioOrder = {
  readonly name: ScenarioName;
  readonly atMs: number;
  readonly forMs: number;
  readonly count: number;
};

const HOUR_MS = 3_600_000;
const DEFAULTS: Readonly<Record<ScenarioName, { readonly forMs: number; readonly count: number }>> = {
  'disk-linear': { forMs: 12 * HOUR_MS, count: 1 },
  'disk-saw-tooth': { forMs: 48 * HOUR_MS, count: 1 },
  'disk-sudden': { forMs: 2 * HOUR_MS, count: 1 },
  'memory-leak': { forMs: 6 * HOUR_MS, count: 1 },
  'noisy-neighbour': { forMs: HOUR_MS, count: 2 },
  'cpu-saturation': { forMs: HOUR_MS, count: 1 },
  'flapping-host': { forMs: HOUR_MS, count: 1 },
  'reboot-storm': { forMs: HOUR_MS, count: 5 },
  'clock-skew': { forMs: 2 * HOUR_MS, count: 1 },
  'network-split': { forMs: HOUR_MS / 2, count: 10 },
  'restart-loop': { forMs: HOUR_MS, count: 1 },
  'bad-deployment': { forMs: HOUR_MS, count: 1 },
  'slow-degradation': { forMs: 12 * HOUR_MS, count: 1 },
  'certificate-expiry': { forMs: 48 * HOUR_MS, count: 1 },
  'lost-region': { forMs: HOUR_MS / 2, count: 1 },
};
/** When a scenario begins of which nobody said when. */
const AT_MS = 5 * 60_000;
const COUNT_MAX = 100_000;

/** As `disk-linear:at=1h:for=6h:count=3,memory-leak`, or `all`: one of each, one after the other, a tenth of an hour apart. */
export function parseScenarios(text: string): Result<readonly ScenarioOrder[], string> {
  if (text === 'all')
    return ok(NAMES.map((name, i) => ({ name, ...DEFAULTS[name], atMs: AT_MS + (i * HOUR_MS) / 10 })));
  const orders: ScenarioOrder[] = [];
  for (const one of text.split(',')) {
    const order = parseScenario(one);
    if (order === null)
      return err(`scenarios as disk-linear:at=1h:for=6h:count=3,memory-leak, or all; of ${NAMES.join(', ')}`);
    orders.push(order);
  }
  return ok(orders);
}

const NAMES = Object.keys(SCENARIOS) as ScenarioName[];

function parseScenario(text: string): ScenarioOrder | null {
  const [head = '', ...settings] = text.trim().split(':');
  const name = NAMES.find((one) => one === head);
  if (name === undefined) return null;
  const order = { name, ...DEFAULTS[name], atMs: AT_MS };
  for (const setting of settings) {
    const [key, value = ''] = setting.split('=');
    const ms = parseDuration(value);
    if (key === 'at' && ms !== null) order.atMs = ms;
    else if (key === 'for' && ms !== null && ms > 0) order.forMs = ms;
    else if (key === 'count' && /^[1-9]\d{0,5}$/.test(value) && Number(value) <= COUNT_MAX) order.count = Number(value);
    else return null;
  }
  return order;
}
