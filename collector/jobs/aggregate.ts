import * as v from 'valibot';

import { defineJob } from '../job.ts';
import { aggregate } from '../store/aggregate.ts';

const INSTANT = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(Number.MAX_SAFE_INTEGER));

/** Computes rollups of a range from its samples (store/aggregate.ts). */
export const AGGREGATE_JOB = defineJob({
  name: 'aggregate',
  options: v.pipe(
    v.strictObject({
      fromMs: INSTANT,
      toMs: INSTANT,
      tiers: v.optional(v.array(v.picklist(['5m', '1h', '1d'])), ['5m', '1h', '1d']),
      force: v.optional(v.boolean(), false),
    }),
    v.check(({ fromMs, toMs }) => fromMs < toMs, 'toMs must be after fromMs'),
  ),
  run: ({ engine, keep, versions, now, settled }, options, context) =>
    aggregate(engine, { ...options, rawDays: keep.raw, versions, now, settled }, context),
});
