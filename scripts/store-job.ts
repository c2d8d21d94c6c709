import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';

import type { JobEnd, JobLine } from '@muster/proto/api';
import { describeError, makeLog } from '@muster/proto/log';
import type { Options, Values } from '@muster/proto/options';
import { isRecord } from '@muster/proto/record';
import { err, ok, type Result } from '@muster/proto/result';

import { closeAll } from '../collector/close-all.ts';
import { describeStranger, findKey, send, TARGET, type Target } from '../collector/commands/command.ts';
import { OPTIONS as CONFIG_OPTIONS } from '../collector/config.ts';
import type { JobContext } from '../collector/job.ts';
import type { Part, StoreSettings } from '../collector/open-store.ts';
import { findHolder } from '../collector/store/lock.ts';
import { makeTeller } from './make-teller.ts';
import { followSignals, readFile, runToEnd } from './run-to-end.ts';

/** A job of the store, and what it is given. */
export type JobRequest = {
  readonly job: string;
  readonly options: object;
  /** By what the store is opened where no collector has it, beside its directory. */
  readonly settings?: Omit<StoreSettings, 'data'>;
};

/** A program that runs a job of the store: beside its own options it has those of PLACE. */
export type JobProgram<O extends Options, Report extends object> = {
  readonly usage: string;
  readonly options: O;
  /** What is asked for; or everything that is wrong with options that are right one by one. */
  readonly request: (values: Values<O>) => Result<JobRequest, readonly string[]>;
  /** The statistics, for people. */
  readonly describe: (report: Report) => string;
};

/** Runs a program to its end. The exit code: 0 done, 1 could not or was cancelled, 2 wrongly asked. */
export function runJobProgram<O extends Options, Report extends object>(
  { usage, options, request, describe }: JobProgram<O, Report>,
  argv: readonly string[] = process.argv.slice(2),
): Promise<number> {
  const all = { ...options, ...PLACE };
  return runToEnd<typeof all>(
    {
      usage: `${usage}\n\n${WHERE}`,
      options: all,
      async run(values) {
        const wanted = request(values);
        if (!wanted.ok) return wanted;
        const onProgress = makeTeller((line) => void process.stderr.write(line), Date.now);
        const end = await runStoreJob<Report>(wanted.value, values, { onProgress, signal: followSignals() });
        if ('error' in end) throw new Error(end.error.message);
        return ok({ value: end.result, text: describe(end.result) });
      },
    },
    argv,
  );
}

/** Whom to ask, and where the store is where nobody is asked. */
const PLACE = { ...TARGET, storeUrl: CONFIG_OPTIONS.storeUrl, storeCluster: CONFIG_OPTIONS.storeCluster };
type Place = Values<typeof PLACE>;

const WHERE = `It asks the collector that holds the data directory, or one elsewhere whose --key is given; where no collector
runs on that directory, it does the work itself, on the store that --store-url names or in that directory. Progress
goes to the standard error. Ctrl-C cancels, and leaves nothing wrong. It ends with 0 when it is done, 1 when it could
not, 2 when it was wrongly asked.`;

/**
 * Runs a job where the store is: in the collector that holds the data directory, or that the given key is for; else on
 * the store that this process opens.
 */
export async function runStoreJob<Report extends object>(
  request: JobRequest,
  target: Place,
  context: JobContext,
): Promise<JobEnd<Report>> {
  const end = await findPlace(target)
    .then((place) => (place === 'here' ? runHere(request, target, context) : askCollector(request, target, context)))
    .catch((cause: unknown) => fail(describeError(cause)));
  return end as JobEnd<Report>; // what the job of this name gives
}

async function findPlace({ data, key }: Target): Promise<'here' | 'collector'> {
  if (key !== '') return 'collector';
  return (await findHolder(data)) === null ? 'here' : 'collector';
}

async function runHere(
  { job, options, settings }: JobRequest,
  { data, storeUrl, storeCluster }: Place,
  context: JobContext,
): Promise<JobEnd> {
  if (storeUrl === null && !existsSync(join(data, 'clickhouse')))
    return fail(`There is no store in ${data}; --data names the data directory of a collector`);
  process.env['UV_THREADPOOL_SIZE'] ??= '16'; // as the collector does (collector/main.ts)
  const [{ openStore }, { JOBS, openJobs }] = await Promise.all([
    import('../collector/open-store.ts'),
    import('../collector/jobs.ts'),
  ]);
  const log = makeLog((line) => void (/"level":"(WARN|ERROR)"/.test(line) && process.stderr.write(line)), Date.now);
  const opened: Part[] = [];
  try {
    const onStandby = (): Promise<never> =>
      Promise.reject(new Error('A collector has that database: ask it, with its --url and --key'));
    const store = await openStore({ data, storeUrl, storeCluster, onStandby, ...settings }, opened, log, Date.now);
    const started = openJobs({ jobs: JOBS, store, log, now: Date.now }).start(job, options, context);
    return started.ok ? await started.value.ended : fail(started.error.message);
  } finally {
    await closeAll(opened);
  }
}

async function askCollector({ job, options }: JobRequest, target: Target, context: JobContext): Promise<JobEnd> {
  const { url } = target;
  const key = findKey(target, readFile);
  if (!key.ok) return fail(key.error.join('\n'));
  const path = `/api/v1/store/jobs/${job}`;
  const sent = await send({ method: 'POST', path, body: options }, { url, key: key.value, signal: context.signal });
  if (!sent.ok) return context.signal.aborted ? cancelled(context.signal) : fail(sent.error);
  if (sent.value.body === null) return fail(describeStranger(url, sent.value.status));
  try {
    for await (const text of createInterface({ input: Readable.fromWeb(sent.value.body) })) {
      const line = readLine(text);
      if (!line.ok) return fail(describeStranger(url, sent.value.status));
      if (!('progress' in line.value)) return line.value;
      context.onProgress(line.value.progress);
    }
  } catch (cause) {
    if (context.signal.aborted) return cancelled(context.signal);
    return fail(
      `The collector at ${url} went away: ${describeError(cause)}; its log says why, and what was done is kept`,
    );
  }
  return fail(
    `The collector at ${url} went away before the job had ended; its log says why, and what was done is kept`,
  );
}

/** A line that the route of jobs has written. */
function readLine(text: string): Result<JobLine, null> {
  try {
    const line: unknown = JSON.parse(text);
    const isLine = isRecord(line) && [line['progress'], line['result'], line['error']].some(isRecord);
    return isLine ? ok(line as JobLine) : err(null);
  } catch {
    return err(null);
  }
}

function fail(message: string): JobEnd {
  return { error: { code: 'failed', message } };
}

function cancelled(signal: AbortSignal): JobEnd {
  return { error: { code: 'cancelled', message: `Cancelled: ${describeError(signal.reason)}` } };
}
