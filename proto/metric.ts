import { AGENT_METRICS } from './metrics/agent.ts';
import { CHECK_METRICS } from './metrics/check.ts';
import { CONTAINER_METRICS } from './metrics/container.ts';
import { CUSTOM_METRICS } from './metrics/custom.ts';
import { HARDWARE_METRICS } from './metrics/hardware.ts';
import { HOST_METRICS } from './metrics/host.ts';
import type { Metric } from './metrics/kinds.ts';
import { PROCESS_METRICS } from './metrics/process.ts';
import { UNIT_METRICS } from './metrics/unit.ts';

export type { Metric, MetricKind } from './metrics/kinds.ts';

/**
 * Every metric that Muster itself takes. Names, units and labels are those of OpenTelemetry's semantic conventions
 * (system metrics); what has none there (load average, pressure, inodes) is named in their manner.
 */
export const METRICS = {
  ...HOST_METRICS,
  ...CONTAINER_METRICS,
  ...PROCESS_METRICS,
  ...UNIT_METRICS,
  ...HARDWARE_METRICS,
  ...AGENT_METRICS,
  ...CHECK_METRICS,
  ...CUSTOM_METRICS,
} as const satisfies Record<string, Metric>;

export type MetricName = keyof typeof METRICS;

const METRICS_BY_NAME: ReadonlyMap<string, Metric> = new Map(Object.entries(METRICS));

/** The catalogue's entry, or null for a metric that is not ours. */
export function findMetric(name: string): Metric | null {
  return METRICS_BY_NAME.get(name) ?? null;
}

/**
 * How much a counter rose between two readings: null when it fell, because a reset, a reboot or a renamed device says
 * nothing about what was counted in between. Never negative, never a spike.
 */
export function counterRise(previous: number, current: number): number | null {
  return current >= previous ? current - previous : null;
}
