import type { JobEnd } from '@muster/proto/api';
import { describeError, type Log } from '@muster/proto/log';
import { err, ok, type Result } from '@muster/proto/result';

import { StoreError } from './domain/store-error.ts';
import type { AnyJob, JobContext, RunJob } from './job.ts';
import { AGGREGATE_JOB } from './jobs/aggregate.ts';
import { BACKUP_JOB } from './jobs/backup.ts';
import { CLEANUP_JOB } from './jobs/cleanup.ts';
import type { Store } from './open-store.ts';

/** Every job that the store knows, by the name of its route. */
export const JOBS: readonly AnyJob[] = [CLEANUP_JOB, AGGREGATE_JOB, BACKUP_JOB];

/** Why a job does not begin, with the status of the answer. */
export type JobRefusal = { readonly status: 400 | 404 | 409 | 503; readonly code: string; readonly message: string };

export type Jobs = {
  /** Begins a job, unless one is running. `ended` never rejects. */
  readonly start: (
    name: string,
    options: unknown,
    context: JobContext,
  ) => Result<{ readonly ended: Promise<JobEnd> }, JobRefusal>;
  /** Cancels the job that is running, waits for its end, and begins no other. */
  readonly close: () => Promise<void>;
};

export type JobsOptions = {
  readonly jobs: readonly AnyJob[];
  readonly store: Store;
  readonly log: Log;
  readonly now: () => number;
};

/** Runs jobs on an open store, one at a time: each may take all that the engine's session for commands gives. */
export function openJobs({ jobs, store, log, now }: JobsOptions): Jobs {
  const closing = new AbortController();
  let running: { readonly name: string; readonly sinceMs: number; readonly ended: Promise<JobEnd> } | null = null;

  async function run(name: string, task: RunJob, context: JobContext): Promise<JobEnd> {
    const startedMs = now();
    log.info('job.started', { job: name });
    try {
      const result = await task(store, context);
      log.info('job.ended', { job: name, seconds: (now() - startedMs) / 1000 });
      return { result };
    } catch (error) {
      if (context.signal.aborted) {
        log.info('job.cancelled', { job: name });
        return { error: { code: 'cancelled', message: `Cancelled: ${describeError(context.signal.reason)}` } };
      }
      log.warn('job.failed', { job: name, error });
      // The store's own words say what to do; what is behind them is in the log.
      const message = error instanceof StoreError ? error.message : describeError(error);
      return { error: { code: 'failed', message } };
    } finally {
      running = null;
    }
  }

  return {
    start(name, options, { onProgress, signal }) {
      if (store.shards.length > 1) return err(ON_CLUSTER);
      const job = jobs.find((one) => one.name === name);
      if (job === undefined) return err(refuseUnknown(name, jobs));
      const task = job.prepare(options);
      if (!task.ok) return err({ status: 400, code: 'bad-options', message: task.error });
      if (closing.signal.aborted)
        return err({ status: 503, code: 'stopping', message: 'The collector is stopping; ask again when it is back' });
      if (running !== null) {
        const since = new Date(running.sinceMs).toISOString();
        const message = `The job ${running.name} is running since ${since}; ask again when it has ended`;
        return err({ status: 409, code: 'busy', message });
      }
      const context = { onProgress, signal: AbortSignal.any([signal, closing.signal]) };
      const sinceMs = now();
      // Not at once: it may end before it is known to run.
      const ended = Promise.resolve().then(() => run(name, task.value, context));
      running = { name, sinceMs, ended };
      return ok({ ended });
    },
    async close() {
      closing.abort(new Error('The collector is stopping'));
      await running?.ended; // whoever asked for it is told
    },
  };
}

const ON_CLUSTER: JobRefusal = {
  status: 400,
  code: 'cluster',
  message:
    'Jobs are not for a store on a cluster: its servers drop by themselves what is past its time, and back themselves up',
};

function refuseUnknown(name: string, jobs: readonly AnyJob[]): JobRefusal {
  const names = jobs.map((one) => one.name).join(', ');
  return { status: 404, code: 'unknown-job', message: `There is no job ${name}; there are ${names}` };
}
