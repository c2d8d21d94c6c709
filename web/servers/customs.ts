import type { LatestValue } from '@muster/proto/api';
import type { MetricAbout } from '@muster/proto/custom';
import { parseLabels } from '@muster/proto/labels';

import { compareNames } from '../compare-names.ts';
import { formatByteRate, formatBytes, formatCount, formatRatio, UNKNOWN } from '../format.ts';

/** One series that services of the host have told, as it is now. */
export type Custom = { readonly metric: string; readonly labels: string; readonly value: string };

const SPACE = '\u00a0';

/** The custom metrics among the newest values of a host, sorted by name and labels. */
export function listCustoms(latest: Iterable<LatestValue>): Custom[] {
  const found: Custom[] = [];
  for (const { metric, labels: text, value, custom } of latest) {
    if (custom !== undefined) found.push({ metric, labels: showLabels(text), value: formatCustom(value, custom) });
  }
  return found.toSorted((a, b) => compareNames(a.metric, b.metric) || compareNames(a.labels, b.labels));
}

function showLabels(text: string): string {
  const parsed = parseLabels(text);
  if (!parsed.ok) return text;
  return Object.entries(parsed.value)
    .map(([key, value]) => `${key}=${value}`)
    .join(', ');
}

/** A value with its unit (UCUM) as people write it. */
export function formatCustom(value: number | null, { unit }: Pick<MetricAbout, 'unit'>): string {
  if (value === null || !Number.isFinite(value)) return UNKNOWN;
  switch (unit) {
    case '1':
      return formatRatio(value);
    case 'By':
      return formatBytes(value);
    case 'By/s':
      return formatByteRate(value);
    case 's':
      return formatSeconds(value);
    default: {
      // What stands in braces says what is counted, and is no unit.
      const shown = unit.replaceAll(/[{}]/g, '');
      return shown === '' ? formatDigits(value) : `${formatDigits(value)}${SPACE}${shown}`;
    }
  }
}

function formatSeconds(seconds: number): string {
  const size = Math.abs(seconds);
  if (size >= 1 || size === 0) return `${formatDigits(seconds)}${SPACE}s`;
  if (size >= 0.001) return `${formatDigits(seconds * 1e3)}${SPACE}ms`;
  return `${formatDigits(seconds * 1e6)}${SPACE}µs`;
}

/** Three digits, and all of a whole number; what is far from 1 with a power of ten. */
function formatDigits(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e15 || (size < 1e-4 && size > 0)) return value.toExponential(2);
  return size >= 100 ? formatCount(Math.round(value)) : String(Number(value.toPrecision(3)));
}
