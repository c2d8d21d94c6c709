import type { JobEnd, JobLine, JobProgress } from '@muster/proto/api';
import type { Result } from '@muster/proto/result';

import type { Route } from '../app.ts';
import { refuse } from '../auth.ts';
import { readJson } from '../body.ts';

/** What a reader may lag behind, in lines; beyond it progress is not told. */
const LAG_LINES_MAX = 100;
/** Who passes the answer on (a proxy) must not take a job that is silent for a connection that is dead. */
const REPEAT_MS = 10_000;

type JobContext = { readonly onProgress: (progress: JobProgress) => void; readonly signal: AbortSignal };
type JobRefusal = { readonly status: 400 | 404 | 409 | 503; readonly code: string; readonly message: string };

export type JobsRouteOptions = {
  readonly start: (
    name: string,
    options: unknown,
    context: JobContext,
  ) => Result<{ readonly ended: Promise<JobEnd> }, JobRefusal>;
};

/** Runs a job of the store, and tells how far it is as it goes: lines of JSON. Who goes away cancels it. */
export function makeJobsRoute({ start }: JobsRouteOptions): Route {
  return {
    method: 'POST',
    path: '/api/v1/store/jobs/:name',
    role: 'admin',
    async handle(context) {
      const options = await readJson(context);
      const cancelling = new AbortController();
      const lines = makeLines(() => cancelling.abort(new Error('Whoever asked for it has gone away')));
      const started = start(context.req.param('name') ?? '', options, {
        onProgress: (progress) => lines.write({ progress }),
        signal: cancelling.signal,
      });
      if (!started.ok) {
        const { status, code, message } = started.error;
        return refuse(context, status, code, message);
      }
      void started.value.ended.then(lines.end);
      return context.body(lines.stream, 200, { 'Content-Type': 'application/x-ndjson' });
    },
  };
}

type Lines = {
  readonly stream: ReadableStream<Uint8Array>;
  readonly write: (line: JobLine) => void;
  readonly end: (line: JobLine) => void;
};

/** What is written is a line of the stream each; the last of them again while nothing is written. */
function makeLines(onGone: () => void): Lines {
  let isOpen = true;
  let last: JobLine | null = null;
  let sink: ReadableStreamDefaultController<Uint8Array> | null = null;
  const send = (line: JobLine): void => {
    if (isOpen) sink?.enqueue(Buffer.from(`${JSON.stringify(line)}\n`));
  };
  const write = (line: JobLine): void => {
    last = line;
    if ((sink?.desiredSize ?? 0) > -LAG_LINES_MAX) send(line);
  };
  const repeating = setInterval(() => {
    if (last !== null) write(last);
  }, REPEAT_MS);
  const stop = (): void => {
    isOpen = false;
    clearInterval(repeating);
  };
  const stream = new ReadableStream<Uint8Array>({
    start: (controller) => void (sink = controller),
    cancel() {
      stop();
      onGone();
    },
  });
  return {
    stream,
    write,
    end(line) {
      send(line);
      if (isOpen) sink?.close();
      stop();
    },
  };
}
