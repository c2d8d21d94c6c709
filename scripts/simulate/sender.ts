import { setTimeout as sleep } from 'node:timers/promises';

import type { Batch, Inventory } from '@muster/proto/batch';
import { EVENTS_MAX, type HostEvent } from '@muster/proto/event';
import { BATCH_CONTENT_TYPE, INGEST_PATH } from '@muster/proto/push';

import { packBody } from '../../agent/compress.ts';
import { makeTeller, type Telling } from '../../agent/teller.ts';
import { openWire, type Wire, type WireAnswer } from '../wire.ts';
import { countIn } from '../tally.ts';
import type { Finding, SimulatedHost } from './host.ts';

/** Ticks that are sent together, at most: two hours of a minute, ten of five. */
export const JOINED_TICKS_MAX = 120;
/** What one host keeps while nothing gets through: a day at 30 s. */
const KEPT_TICKS_MAX = 2_880;
/** After what no answer came to. */
const RETRY_MS = 2_000;

export type SenderOptions = {
  readonly port: number;
  readonly token: string;
  readonly host: Pick<SimulatedHost, 'series' | 'described'>;
  readonly info: Inventory;
  /** Random per start of the simulator. */
  readonly run: number;
  readonly random: () => number;
  readonly now: () => number;
  readonly counts: SentCounts;
  /** Is told each answer, and of which batch. */
  readonly onAnswered?: (answer: NonNullable<WireAnswer>, batch: Batch) => void;
};

/** Of all hosts together, in samples. */
export type SentCounts = {
  taken: number;
  acknowledged: number;
  givenUp: number;
  readonly statuses: Map<number, number>;
};

/** Sends what a host finds, the oldest first, and keeps it until it is acknowledged. */
export type Sender = {
  readonly add: (finding: Finding, everyMs: number) => void;
  /** How many ticks wait. */
  readonly waiting: () => number;
  /** Resolves when nothing waits any more, or `signal` says that it is of no use. */
  readonly drained: (signal: AbortSignal) => Promise<void>;
  readonly close: () => void;
};

type Kept = {
  /** Which record of the host's this is, from 1. */
  readonly seq: number;
  readonly tsMs: number;
  readonly everyMs: number;
  readonly values: Float64Array;
  readonly events: readonly HostEvent[];
  readonly clockMs: number;
};

/** As an agent does, but that what waits is in memory. */
export function openSender(options: SenderOptions): Sender {
  const { port, random, counts } = options;
  const wire = openWire(port);
  const teller = makeTeller();
  const epoch = Math.floor(random() * 2 ** 48);
  const kept: Kept[] = [];
  let isCutOff = false;
  let isTold = false;
  let seq = 0;
  let sending: Promise<void> | null = null;
  let isClosed = false;

  /** Sends until nothing waits. */
  async function send(): Promise<void> {
    while (kept.length > 0 && !isCutOff && !isClosed) {
      const batch = joinTicks(kept, options, { epoch, isTold });
      let telling = teller.tell(batch);
      let answer = await ask(wire, telling, options);
      if (answer?.status === 409) {
        telling = teller.tellInFull(batch);
        answer = await ask(wire, telling, options);
      }
      teller.settle(telling, answer?.body.includes('"kept":true') === true);
      if (answer !== null) options.onAnswered?.(answer, batch);
      if (answer === null || LATER.has(answer.status)) {
        await sleep((answer?.retryAfterMs || RETRY_MS) * (0.5 + random()), undefined, { ref: false });
        continue;
      }
      // Those before were given up meanwhile, perhaps.
      while ((kept[0]?.seq ?? Infinity) <= batch.seq) kept.shift();
      if (answer.status === 200) {
        isTold = true;
        counts.acknowledged += countSamples(batch.values);
      } else counts.givenUp += countSamples(batch.values);
    }
  }

  function wake(): void {
    // What is added at once goes together.
    sending ??= Promise.resolve()
      .then(send)
      .finally(() => {
        sending = null;
      });
  }

  return {
    add({ tsMs, values, events, clockMs, isCutOff: isAway }, everyMs) {
      isCutOff = isAway;
      seq += 1;
      kept.push({ seq, tsMs, everyMs, values: values.slice(), events, clockMs });
      counts.taken += countSamples(values);
      while (kept.length > KEPT_TICKS_MAX) counts.givenUp += countSamples(kept.shift()?.values ?? []);
      wake();
    },
    waiting: () => kept.length,
    async drained(signal) {
      isCutOff = false;
      while (kept.length > 0 && !signal.aborted) {
        wake();
        await Promise.race([sending, sleep(RETRY_MS, undefined, { ref: false })]);
      }
    },
    close() {
      isClosed = true;
      wire.close();
    },
  };
}

/** It comes again later. */
const LATER: ReadonlySet<number> = new Set([408, 429, 503]);

/** The oldest ticks of one interval, as one batch. */
function joinTicks(
  kept: readonly Kept[],
  { host, info, run, now }: SenderOptions,
  { epoch, isTold }: { readonly epoch: number; readonly isTold: boolean },
): Batch {
  const other = kept.findIndex(({ everyMs }) => everyMs !== kept[0]?.everyMs);
  const ticks = kept.slice(0, Math.min(JOINED_TICKS_MAX, other < 0 ? kept.length : other));
  const [first] = ticks;
  const last = ticks.at(-1);
  if (first === undefined || last === undefined) throw new Error('There is nothing to send');
  const { series, described } = host;
  const values = new Float64Array(series.length * ticks.length);
  for (const [column, tick] of ticks.entries())
    for (let row = 0; row < series.length; row += 1) values[row * ticks.length + column] = tick.values[row] ?? NaN;
  const events = ticks.flatMap((tick) => tick.events).slice(0, EVENTS_MAX);
  return {
    epoch,
    ...(first === last ? {} : { since: first.seq }),
    seq: last.seq,
    run,
    sentMs: now() + last.clockMs,
    everyMs: first.everyMs,
    ticksMs: ticks.map(({ tsMs }) => tsMs),
    series,
    ...(described.length === 0 ? {} : { described }),
    values,
    ...(isTold ? {} : { info }),
    ...(events.length === 0 ? {} : { events }),
  };
}

async function ask(wire: Wire, telling: Telling, { token, counts }: SenderOptions): Promise<WireAnswer> {
  const { body, isCompressed } = packBody(telling);
  const lines = [
    `POST ${INGEST_PATH} HTTP/1.1`,
    'Host: 127.0.0.1',
    `Authorization: Bearer ${token}`,
    `Content-Type: ${BATCH_CONTENT_TYPE}`,
    ...(isCompressed ? ['Content-Encoding: zstd'] : []),
    `Content-Length: ${body.length}`,
  ];
  const answer = await wire.ask([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`), body]);
  countIn(counts.statuses, answer?.status ?? 0);
  return answer;
}

function countSamples(values: Iterable<number>): number {
  let samples = 0;
  for (const value of values) samples += Number(!Number.isNaN(value));
  return samples;
}
