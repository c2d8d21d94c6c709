import type { MetricName } from '@muster/proto/metric';
import type { Result } from '@muster/proto/result';

/** One number, read now. `labels` is the canonical text of labels.ts, made once and kept: see remember.ts. */
export type Sample = { readonly metric: MetricName; readonly labels: string; readonly value: number };

/** What a source took, and in `remark` what it left out and why, in words that stay the same as long as the facts do. */
export type Reading = { readonly samples: readonly Sample[]; readonly remark?: string };

/**
 * A part of the host that can be read at any time. An error says why there is no reading at all; a source that throws
 * is taken for failed too, and disturbs no other.
 */
export type Source = { readonly name: string; readonly read: () => Promise<Result<Reading, string>> };
