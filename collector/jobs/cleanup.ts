import * as v from 'valibot';

import { defineJob } from '../job.ts';
import { cleanUp } from '../store/cleanup.ts';

/** Drops what is past its time, or says what would go (store/cleanup.ts). */
export const CLEANUP_JOB = defineJob({
  name: 'cleanup',
  options: v.strictObject({ apply: v.boolean(), optimize: v.optional(v.boolean(), false) }),
  run: (store, options, context) => cleanUp(store, { ...options, now: store.now }, context),
});
