import * as v from 'valibot';

import type { JobProgress } from '@muster/proto/api';
import { err, ok, type Result } from '@muster/proto/result';

import type { Store } from './open-store.ts';

/** Long work on an open store. */
export type Job<Options, Report extends object> = {
  /** As in the path of its route: `[a-z-]`. */
  readonly name: string;
  /** Of its options, as JSON. */
  readonly options: v.GenericSchema<unknown, Options>;
  /** Rejects soon after `signal` has aborted, and leaves nothing wrong then, as after a kill. */
  readonly run: (store: Store, options: Options, context: JobContext) => Promise<Report>;
};

export type JobContext = { readonly onProgress: (progress: JobProgress) => void; readonly signal: AbortSignal };

/** A job whatever its options are: `prepare` checks them, and the error says what is wrong with them. */
export type AnyJob = {
  readonly name: string;
  readonly prepare: (options: unknown) => Result<RunJob, string>;
};
export type RunJob = (store: Store, context: JobContext) => Promise<object>;

export function defineJob<Options, Report extends object>({ name, options, run }: Job<Options, Report>): AnyJob {
  return {
    name,
    prepare(given) {
      const parsed = v.safeParse(options, given);
      if (parsed.success) return ok((store, context) => run(store, parsed.output, context));
      const faults = parsed.issues.map((issue) => `${v.getDotPath(issue) ?? 'the body'}: ${issue.message}`);
      return err(`Cannot run the job ${name} so: ${faults.join('; ')}`);
    },
  };
}
