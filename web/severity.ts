import type { Severity } from './ui/bar.tsx';

type Thresholds = { readonly warning: number; readonly critical: number };

/** From which ratio on a resource deserves a look, and from which on it needs one. */
export const THRESHOLDS = {
  cpu: { warning: 0.7, critical: 0.9 },
  memory: { warning: 0.75, critical: 0.9 },
  disk: { warning: 0.8, critical: 0.95 },
} as const satisfies Record<string, Thresholds>;

export function rateSeverity(ratio: number | null, { warning, critical }: Thresholds): Severity {
  if (ratio === null || ratio < warning) return 'normal';
  return ratio < critical ? 'warning' : 'critical';
}
