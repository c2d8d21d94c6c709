import { formatLabels } from '@muster/proto/labels';

import { remember } from '../../remember.ts';
import type { Sample } from '../../source.ts';
import type { Check, FailureType, Outcome } from './check.ts';

export type Counts = {
  readonly count: (outcome: Outcome) => void;
  /** What to send of a run that was counted; `nowMs` is the wall clock. */
  readonly sample: (outcome: Outcome, nowMs: number) => readonly Sample[];
};

/**
 * Counts the runs of a check. A reason for which it fails for the first time is sent as 0, and the count with a later
 * run: of a series that begins with 1 nobody can tell that it rose.
 */
export function makeCounts({ name, service, probe }: Check): Counts {
  const own = { 'check.kind': probe.kind, 'check.name': name, 'service.name': service };
  const labels = formatLabels(own);
  const labelsOfPhase = remember((phase) => formatLabels({ ...own, 'check.phase': phase }));
  const labelsOfError = remember((type) => formatLabels({ ...own, 'error.type': type }));
  const failures = new Map<FailureType, number>();
  const sent = new Set<FailureType>();
  let runs = 0;
  let failed = 0;

  function sampleFailure(type: FailureType, count: number): Sample {
    const value = sent.has(type) ? count : 0;
    sent.add(type);
    return { metric: 'muster.check.failures', labels: labelsOfError(type), value };
  }

  return {
    count: ({ failure }) => {
      runs += 1;
      if (failure === null) return;
      failed += 1;
      failures.set(failure.type, (failures.get(failure.type) ?? 0) + 1);
    },
    sample: ({ failure, durationMs, phasesMs, statusCode, expiresMs }, nowMs) => {
      const samples: Sample[] = [
        { metric: 'muster.check.up', labels, value: failure === null ? 1 : 0 },
        { metric: 'muster.check.runs', labels, value: runs },
        { metric: 'muster.check.failures', labels, value: failed },
      ];
      for (const [type, count] of failures) samples.push(sampleFailure(type, count));
      if (failure === null) {
        samples.push({ metric: 'muster.check.duration', labels, value: toSeconds(durationMs) });
        for (const [phase, phaseMs] of phasesMs)
          samples.push({ metric: 'muster.check.duration', labels: labelsOfPhase(phase), value: toSeconds(phaseMs) });
      }
      if (statusCode !== null) samples.push({ metric: 'muster.check.http.status_code', labels, value: statusCode });
      if (expiresMs !== null)
        samples.push({ metric: 'muster.check.tls.expiry', labels, value: Math.round((expiresMs - nowMs) / 1000) });
      return samples;
    },
  };
}

function toSeconds(durationMs: number): number {
  return Math.max(0, Math.round(durationMs * 1e3) / 1e6);
}
