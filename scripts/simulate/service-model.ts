import type { MetricDescription } from '@muster/proto/custom';

import type { ServiceEffects } from './effects.ts';
import type { InstancePlan, ServicePlan } from './fleet.ts';
import { rise, round, type Load, type Moment } from './model.ts';
import { noiseAt } from './rhythm.ts';
import type { Sheet } from './sheet.ts';

/** As OpenTelemetry names what HTTP servers tell, and as the agent passes a histogram on. */
const DURATION = 'http.server.request.duration';
const DESCRIBED = {
  count: [`${DURATION}.count`, 'counter', ''],
  sum: [`${DURATION}.sum`, 'counter', 's'],
  duration: [DURATION, 'gauge', 's'],
  active: ['http.server.active_requests', 'gauge', '{request}'],
} as const satisfies Record<string, MetricDescription>;

/** How much longer than the median the other quantiles are, when all is well. */
const QUANTILES = [
  ['0.5', 1],
  ['0.9', 2.4],
  ['0.99', 6],
  ['1', 14],
] as const;
/** Why requests fail, and of how many of those that do. */
const REASONS = [
  ['timeout', 0.5],
  ['connection_refused', 0.2],
  ['500', 0.3],
] as const;

/** One instance of a service: how much is asked of it, how long that takes, and what fails, by why. */
export function makeInstanceModel(
  service: ServicePlan,
  { instance, share }: InstancePlan,
  { random, sheet, seed }: { readonly random: () => number; readonly sheet: Sheet; readonly seed: number },
) {
  const labels = { 'service.name': service.name, 'service.instance.id': instance };
  const places = {
    count: sheet.addCustom(DESCRIBED.count, labels),
    sum: sheet.addCustom(DESCRIBED.sum, labels),
    active: sheet.addCustom(DESCRIBED.active, labels),
    quantiles: QUANTILES.map(([quantile]) => sheet.addCustom(DESCRIBED.duration, { ...labels, quantile })),
    failed: REASONS.map(([reason]) => sheet.addCustom(DESCRIBED.count, { ...labels, 'error.type': reason })),
  };

  return function read({ tMs, elapsedS, effects }: Moment, { demand, cpu }: Load, ill: ServiceEffects): void {
    const values = sheet.values();
    const reading = { values, elapsedS, random };
    // All instances of a service meet the same of what happens outside.
    const weather = noiseAt(tMs, 300_000, seed, service.medianS * 1e6);
    const requests = service.requestsPerS * share * demand * (1 + 0.03 * weather) * elapsedS;
    // Who is busy makes wait.
    const crowd = 1 + 0.5 * Math.max(0, cpu - 0.6) ** 2 * 25;
    const median = service.medianS * crowd * effects.slowness * ill.slowness * (0.96 + 0.08 * random());
    const failed = requests * Math.min(0.9, service.failedRatio * crowd + ill.failedRatio);
    rise(reading, places.count, requests - failed, 0);
    for (const [i, [, of]] of REASONS.entries()) rise(reading, places.failed[i], failed * of, 0);
    rise(reading, places.sum, requests * 1.4 * median, 2);
    values[places.active] = Math.round((requests / Math.max(1, elapsedS)) * 1.4 * median);
    for (const [i, [, factor]] of QUANTILES.entries())
      values[places.quantiles[i] ?? 0] = round(median * factor * (0.95 + 0.1 * random()), 4);
  };
}

/** A check of a service from outside, which host after host runs. */
export function makeCheckModel({ name, medianS }: ServicePlan, random: () => number, sheet: Sheet) {
  const labels = { 'check.kind': 'http', 'check.name': name, 'service.name': name };
  const places = {
    up: sheet.add('muster.check.up', labels),
    runs: sheet.add('muster.check.runs', labels),
    failures: sheet.add('muster.check.failures', labels),
    duration: sheet.add('muster.check.duration', labels),
    expiry: sheet.add('muster.check.tls.expiry', labels),
  };
  let expiresMs: number | null = null;

  /** Whether it found all well. */
  return function read({ tMs, elapsedS }: Moment, { slowness, failedRatio, expiryMs }: ServiceEffects): boolean {
    const values = sheet.values();
    if (expiresMs === null || expiresMs - tMs < 30 * 86_400_000) expiresMs = tMs + 90 * 86_400_000;
    const endsMs = expiryMs ?? expiresMs;
    const isUp = endsMs > tMs && random() >= failedRatio;
    const runs = elapsedS / 30;
    rise({ values, elapsedS, random }, places.runs, runs, 0);
    if (!isUp) rise({ values, elapsedS, random }, places.failures, runs, 0);
    values[places.up] = Number(isUp);
    values[places.duration] = isUp ? round(medianS * slowness * (1 + random()) + 0.004, 4) : NaN;
    values[places.expiry] = Math.round((endsMs - tMs) / 1_000);
    return isUp;
  };
}
