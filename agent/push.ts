import { countSamples, encodeBatch, type Batch } from '@muster/proto/batch';
import { describeError, type Log } from '@muster/proto/log';
import { BATCH_CONTENT_TYPE, INGEST_PATH, readAck } from '@muster/proto/push';

import { makeBell } from './bell.ts';
import type { Exchange } from './clock-offset.ts';
import { packBody } from './compress.ts';
import type { HttpClient } from './http-client.ts';
import { post, type Answer, type PostRequest } from './post.ts';
import type { RefusedBatch } from './refused.ts';
import { judgeReply, wantsFull, type Verdict } from './reply.ts';
import { pause, type Closing, type Schedule } from './schedule.ts';
import type { WaitingBatch } from './spool/shelf.ts';
import type { Parcel, Spool } from './spool/spool.ts';
import { makeTeller, type Teller, type Telling } from './teller.ts';

/** How often the ticks so far are pushed while nobody watches; those that are farther apart are pushed at once. */
const PUSH_MS = 5_000;
/** How long the backlog waits at most before it begins, after a long outage. */
const SPREAD_MS_MAX = 240_000;
/** What is shorter is no outage: an answer was lost, or the collector has been started again. */
const HICCUP_MS = 10_000;
/** Ticks that are sent together from a backlog, ten minutes at the default interval; halved when it does not get through. */
const JOIN_TICKS = 120;

export type PushOptions = {
  readonly client: HttpClient;
  readonly spool: Spool;
  /** Random per start of the agent. */
  readonly run: number;
  /** The host's token, as soon as there is one. Null: there will be none, or it was not there in time. */
  readonly authorise: (closing: Closing) => Promise<string | null>;
  /** The sampling interval that the collector asks for; null: the configured one. */
  readonly setEvery: (everyMs: number | null) => void;
  /** A batch was acknowledged: what that says of the two clocks. */
  readonly onExchange: (exchange: Exchange) => void;
  /** Keeps a batch that was refused, and says where. */
  readonly keepRefused: (batch: RefusedBatch) => string;
  /** How long a request may take, its answer included. */
  readonly deadlineMs: number;
  /** How long `close` goes on delivering what waits. */
  readonly flushMs: number;
  readonly log: Log;
  readonly now: () => number;
  readonly random: () => number;
  readonly schedule: Schedule;
};

export type Push = {
  /** A tick has come into the spool. */
  readonly wake: (tsMs: number) => void;
  /** Delivers what waits, as far as it can be done in time, and resolves then in any case. What is left stays. */
  readonly close: () => Promise<void>;
};

/**
 * Delivers the spool over two lanes, each with one request under way: the newest record as soon as it is due, because
 * someone may be watching; and the backlog behind it, oldest first, as long as the newest ones go through.
 */
export function openPush(options: PushOptions): Push {
  const closing = new AbortController();
  const over = new AbortController();
  const lanes: Lanes = {
    options,
    closing: closing.signal,
    over: over.signal,
    due: makeBell(),
    backlog: makeBell(),
    isDue: false,
    isWatched: false,
    isUp: false,
    isOutageOver: true,
  };
  let wokenMs = 0;
  const done = run(lanes);
  return {
    wake: (tsMs) => {
      const isDue = lanes.isWatched || Math.floor(tsMs / PUSH_MS) !== Math.floor(wokenMs / PUSH_MS);
      wokenMs = tsMs;
      if (!isDue) return;
      lanes.isDue = true;
      // Also while the collector is away, and the lane waits.
      options.spool.flush();
      lanes.due.ring();
    },
    close: async () => {
      options.spool.flush();
      closing.abort();
      lanes.due.ring();
      const cancel = options.schedule(() => over.abort(), options.flushMs);
      await Promise.race([done, aborted(over.signal)]);
      cancel();
      over.abort();
    },
  };
}

type Lanes = {
  readonly options: PushOptions;
  readonly closing: AbortSignal;
  readonly over: AbortSignal;
  /** Rung when the newest record is due, and when the backlog may go on. */
  readonly due: ReturnType<typeof makeBell>;
  readonly backlog: ReturnType<typeof makeBell>;
  isDue: boolean;
  isWatched: boolean;
  /** The last of the newest records went through. */
  isUp: boolean;
  /** They do again after an outage, and the backlog has not begun yet. */
  isOutageOver: boolean;
};

async function run(lanes: Lanes): Promise<void> {
  const token = await lanes.options.authorise({ begun: lanes.closing, over: lanes.over });
  if (token === null) return;
  const backlog = runBacklog(lanes, token);
  await runNewest(lanes, token);
  // The newest lane ends at closing only: what is left of the backlog follows as far as there is time.
  lanes.backlog.ring();
  await backlog;
}

/** The newest record whenever it is due; after a failure, whichever is the newest when the wait is over. */
async function runNewest(lanes: Lanes, token: string): Promise<void> {
  const { options, closing, over } = lanes;
  const report = makeReport(options.log, 'newest');
  const teller = makeTeller();
  let failures = 0;
  let failingSinceMs = Infinity;
  while (!over.aborted) {
    const isLast = closing.aborted;
    const parcel = lanes.isDue || isLast ? options.spool.takeNewest() : null;
    lanes.isDue = false;
    if (parcel === null) {
      if (isLast) return;
      await lanes.due.wait();
      continue;
    }
    const verdict = await deliver(lanes, parcel, { token, failures, teller });
    report(verdict, parcel);
    lanes.isUp = verdict.kind === 'delivered';
    // Nobody can watch while nothing gets through.
    const everyMs = verdict.kind === 'delivered' ? verdict.everyMs : null;
    lanes.isWatched = everyMs !== null;
    options.setEvery(everyMs);
    // What has not gone through is on the disk, and the next start of the agent finds it there. Only a connection that was
    // cut while nobody used it is worth another try: there is a fresh one then.
    if (isLast && (verdict.kind !== 'unavailable' || failures > 0)) return;
    if (verdict.kind === 'delivered') {
      lanes.isOutageOver ||= options.now() - failingSinceMs > HICCUP_MS;
      failures = 0;
      failingSinceMs = Infinity;
      lanes.backlog.ring();
      continue;
    }
    failures += 1;
    failingSinceMs = Math.min(failingSinceMs, options.now());
    lanes.isDue = true;
    await pause(options.schedule, verdict.waitMs, closing);
  }
}

/**
 * The backlog, oldest first. It begins spread over as long as it has gathered, at most four minutes, so that a fleet
 * that was cut off does not bring all at once; it stands still while the newest records do not go through.
 */
async function runBacklog(lanes: Lanes, token: string): Promise<void> {
  const { options, closing, over } = lanes;
  const { spool, schedule } = options;
  const report = makeReport(options.log, 'backlog');
  let failures = 0;
  let joinTicks = JOIN_TICKS;
  while (!over.aborted) {
    if (lanes.isUp && lanes.isOutageOver) {
      lanes.isOutageOver = false;
      const waitMs = options.random() * spreadMs(options);
      if (waitMs > 0) await pause(schedule, waitMs, closing);
    }
    const parcel = lanes.isUp ? spool.takeOldest(joinTicks) : null;
    if (parcel === null) {
      if (closing.aborted) return;
      if (lanes.isUp) joinTicks = JOIN_TICKS;
      await lanes.backlog.wait();
      continue;
    }
    // Joined, it names each series once for many ticks.
    const verdict = await deliver(lanes, parcel, { token, failures, teller: null });
    report(verdict, parcel);
    if (verdict.kind === 'delivered') {
      failures = 0;
      continue;
    }
    if (closing.aborted) return;
    failures += 1;
    if (verdict.kind === 'unavailable') joinTicks = Math.max(1, Math.floor(joinTicks / 2));
    await pause(schedule, verdict.waitMs, closing);
  }
}

function spreadMs({ spool, now }: PushOptions): number {
  const sinceMs = spool.waitingSinceMs() ?? now();
  return Math.min(SPREAD_MS_MAX, Math.max(0, now() - sinceMs));
}

/** Tries once to deliver a parcel, and gives it back to the spool as the answer says. */
async function deliver(
  { options, over }: Lanes,
  parcel: Parcel,
  { token, failures, teller }: { readonly token: string; readonly failures: number; readonly teller: Teller | null },
): Promise<Verdict> {
  const { spool, now, random } = options;
  const batch = { ...parcel.batch, run: options.run };
  const { answer, telling } = await tell(options, batch, { token, teller, signal: over });
  const verdict = judgeReply(answer, { seq: batch.seq, failures, nowMs: now(), random });
  switch (verdict.kind) {
    case 'delivered':
      spool.settle(parcel);
      teller?.settle(telling, verdict.isKept);
      return verdict;
    case 'refused':
      if (!spool.refuse(parcel)) {
        setAside(options, parcel.batch, { message: telling.message, reason: verdict.reason });
      }
      break;
    case 'failed':
      spool.postpone(parcel);
      break;
    default:
      spool.release(parcel);
  }
  teller?.forget();
  return verdict;
}

type Sending = { readonly token: string; readonly teller: Teller | null; readonly signal: AbortSignal };

/**
 * Sends a batch, beside what the one before has left where there is a teller. One that the collector does not take so
 * goes in full at once: it may have been started again, or, in an earlier version, know nothing of that. Only what was
 * refused in full is refused.
 */
async function tell(
  options: PushOptions,
  batch: Omit<Batch, 'sentMs'>,
  { token, teller, signal }: Sending,
): Promise<{ readonly answer: Answer; readonly telling: Telling }> {
  const { now } = options;
  const send = async (telling: Telling): Promise<{ readonly answer: Answer; readonly telling: Telling }> => {
    const { sentMs } = telling.batch;
    const answer = await post(options.client, {
      path: INGEST_PATH,
      ...wrap(telling, token),
      deadlineMs: options.deadlineMs,
      signal,
    });
    const ack = answer.kind === 'answered' && answer.status === 200 ? readAck(answer.body) : null;
    if (ack !== null) options.onExchange({ ...ack, sentMs, receivedMs: now() });
    return { answer, telling };
  };
  const message = { ...batch, sentMs: now() };
  if (teller === null) return send({ message: encodeBatch(message), batch: message, beside: null });
  const told = await send(teller.tell(message));
  if (told.telling.beside === null || !wantsFull(told.answer)) return told;
  return send(teller.tellInFull({ ...batch, sentMs: now() }));
}

/** The headers and the body of a push. */
function wrap(telling: Telling, token: string): Pick<PostRequest, 'headers' | 'body'> {
  const { body, isCompressed } = packBody(telling);
  const type = telling.beside === null ? { 'content-type': BATCH_CONTENT_TYPE } : {};
  const encoding = isCompressed ? { 'content-encoding': 'zstd' } : {};
  return { headers: { authorization: `Bearer ${token}`, ...type, ...encoding }, body };
}

/** Keeps what was refused for whoever looks into it, and says so: its samples are lost. */
function setAside(
  { keepRefused, log, now }: PushOptions,
  batch: WaitingBatch,
  { message, reason }: { readonly message: Uint8Array; readonly reason: string },
): void {
  const { epoch, seq, ticksMs, series, events = [] } = batch;
  const parts = { samples: countSamples(batch), ticks: ticksMs.length, series: series.length, events: events.length };
  try {
    const path = keepRefused({ epoch, seq, atMs: now(), reason, message });
    log.error('push.refused', { reason, seq, ...parts, path });
  } catch (cause) {
    log.error('push.refused', { reason, seq, ...parts, notKept: describeError(cause) });
  }
}

function aborted(signal: AbortSignal): Promise<unknown> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(null);
    signal.addEventListener('abort', resolve, { once: true });
  });
}

/** Logs how delivering goes on one lane: the first delivery, and from then on what changes. */
function makeReport(log: Log, lane: 'newest' | 'backlog'): (verdict: Verdict, parcel: Parcel) => void {
  let hasDelivered = lane === 'backlog';
  let trouble = '';
  return (verdict, { batch: { seq } }) => {
    const previous = trouble;
    trouble = verdict.kind === 'delivered' ? '' : verdict.kind;
    if (verdict.kind === 'delivered') {
      if (!hasDelivered) log.info('agent.delivered', { seq });
      else if (previous !== '') log.info('push.recovered', { lane, seq });
      hasDelivered = true;
      return;
    }
    const { kind, reason } = verdict;
    if (kind === previous || kind === 'refused') return;
    if (kind === 'unauthorised') log.error('push.unauthorised', { reason, next: ENROL_AGAIN });
    else log.warn('push.waiting', { lane, reason });
  };
}

const ENROL_AGAIN =
  'do what the reason says; where it says nothing of that, remove identity.json from the state directory and start the ' +
  'agent with a new enrolment token; its samples wait in the spool, for a day at most';
