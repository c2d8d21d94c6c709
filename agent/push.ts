import { zstdCompressSync, type ZstdOptions } from 'node:zlib';

import { encodeBatch } from '@muster/proto/batch';
import type { Log } from '@muster/proto/log';
import { BATCH_CONTENT_TYPE, INGEST_PATH } from '@muster/proto/push';
import type { Dispatcher } from 'undici';

import type { Backlog, WaitingBatch } from './backlog.ts';
import { makeBell } from './bell.ts';
import { countSamples } from './matrix.ts';
import { post, type Answer } from './post.ts';
import { judgeReply, type Verdict } from './reply.ts';
import { pause, type Closing, type Schedule } from './schedule.ts';

/** How often the ticks so far are pushed while nobody watches; those that are farther apart are pushed at once. */
const PUSH_MS = 5_000;

export type PushOptions = {
  readonly pool: Dispatcher;
  readonly backlog: Backlog;
  /** The host's token, as soon as there is one. Null: there will be none, or it was not there in time. */
  readonly authorise: (closing: Closing) => Promise<string | null>;
  /** The sampling interval that the collector asks for; null: the configured one. */
  readonly setEvery: (everyMs: number | null) => void;
  /** How long a request may take, its answer included. */
  readonly deadlineMs: number;
  /** How long `close` goes on trying to deliver what waits. */
  readonly flushMs: number;
  readonly log: Log;
  readonly now: () => number;
  readonly random: () => number;
  readonly schedule: Schedule;
};

export type Push = {
  /** A tick has come into the backlog. */
  readonly wake: (tsMs: number) => void;
  /** Delivers what waits, as far as it can be done in time, and resolves then in any case. */
  readonly close: () => Promise<void>;
};

/**
 * Delivers the backlog, one batch at a time: the newest as soon as it is due, because someone may be watching, and in
 * between the oldest. While the collector takes none, the same batch is tried again, and the ticks gather behind it.
 */
export function openPush(options: PushOptions): Push {
  const { backlog, now, random, schedule } = options;
  const report = makeReport(options.log);
  const bell = makeBell();
  const closing = new AbortController();
  const over = new AbortController();
  let isDue = false;
  let isWatched = false;
  let wokenMs = 0;
  let failures = 0;

  async function run(): Promise<void> {
    const token = await options.authorise({ begun: closing.signal, over: over.signal });
    let again: WaitingBatch | null = null;
    while (token !== null && !over.signal.aborted) {
      const batch: WaitingBatch | null = again ?? takeNext();
      if (batch === null && closing.signal.aborted) return;
      again = batch === null ? await bell.wait() : await deliver(batch, token);
    }
  }

  function takeNext(): WaitingBatch | null {
    const newest = isDue || closing.signal.aborted ? backlog.takeNewest() : null;
    isDue = false;
    return newest ?? backlog.takeOldest();
  }

  /** Tries once to deliver a batch, and waits if that failed. Returns it when it is to be tried again before others. */
  async function deliver(batch: WaitingBatch, token: string): Promise<WaitingBatch | null> {
    const answer = await sendBatch(options, batch, token, over.signal);
    const verdict = judgeReply(answer, { seq: batch.seq, failures, nowMs: now(), random });
    report(verdict, batch);
    switch (verdict.kind) {
      case 'delivered':
        failures = 0;
        backlog.settle(batch);
        isWatched = verdict.everyMs !== null;
        options.setEvery(verdict.everyMs);
        return null;
      case 'refused':
        failures = 0;
        backlog.discard(batch);
        return null;
      default:
        if (verdict.kind === 'failed') backlog.postpone(batch);
        failures += 1;
        // Nobody will come and mend that within seconds.
        if (verdict.kind === 'unauthorised' && closing.signal.aborted) over.abort();
        await pause(schedule, verdict.waitMs, closing.signal.aborted ? over.signal : closing.signal);
        return verdict.kind === 'failed' ? null : batch;
    }
  }

  const done = run();
  return {
    wake: (tsMs) => {
      isDue ||= isWatched || Math.floor(tsMs / PUSH_MS) !== Math.floor(wokenMs / PUSH_MS);
      wokenMs = tsMs;
      if (isDue) bell.ring();
    },
    close: async () => {
      closing.abort();
      failures = 0; // there is little time: forget how long the collector has been away, and try quickly
      bell.ring();
      const cancel = schedule(() => over.abort(), options.flushMs);
      await Promise.race([done, aborted(over.signal)]);
      cancel();
    },
  };
}

function aborted(signal: AbortSignal): Promise<unknown> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(null);
    signal.addEventListener('abort', resolve, { once: true });
  });
}

async function sendBatch(
  { pool, deadlineMs, now }: PushOptions,
  batch: WaitingBatch,
  token: string,
  signal: AbortSignal,
): Promise<Answer> {
  const message = encodeBatch({ ...batch, sentMs: now() });
  return post(pool, {
    path: INGEST_PATH,
    headers: { authorization: `Bearer ${token}`, 'content-type': BATCH_CONTENT_TYPE, 'content-encoding': 'zstd' },
    // Not in the thread pool: calls to file servers that are gone may hold all of it.
    body: zstdCompressSync(message, sizedFor(message)),
    deadlineMs,
    signal,
  });
}

/** Told the size, zstd makes its tables to measure: a fifth of the memory and half the time. Not in @types/node yet. */
function sizedFor(message: Uint8Array): ZstdOptions & { readonly pledgedSrcSize: number } {
  return { pledgedSrcSize: message.byteLength };
}

/** Logs how delivering goes: the first delivery, from then on what changes, and every loss. */
function makeReport(log: Log): (verdict: Verdict, batch: WaitingBatch) => void {
  let hasDelivered = false;
  let trouble = '';
  return (verdict, batch) => {
    const { seq } = batch;
    const previous = trouble;
    if (verdict.kind === 'delivered') {
      trouble = '';
      if (!hasDelivered) log.info('agent.delivered', { seq });
      else if (previous !== '') log.info('push.recovered', { seq });
      hasDelivered = true;
      return;
    }
    const { kind, reason } = verdict;
    trouble = kind;
    if (kind === 'refused') log.error('push.refused', { reason, seq, ...countParts(batch) });
    else if (kind === previous) return;
    else if (kind === 'unauthorised') log.error('push.unauthorised', { reason, next: ENROL_AGAIN });
    else log.warn('push.waiting', { reason });
  };
}

function countParts(batch: WaitingBatch): Readonly<Record<string, number>> {
  const { ticksMs, series, events = [] } = batch;
  return { samples: countSamples(batch), ticks: ticksMs.length, series: series.length, events: events.length };
}

const ENROL_AGAIN =
  'another agent with this machine id has joined, or the host was removed; enrol again with a new token: ' +
  'remove identity.json from the state directory and start the agent with MUSTER_TOKEN';
