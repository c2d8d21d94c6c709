import { once } from 'node:events';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Batch, Series } from '@muster/proto/batch';

import { seededRandom } from '../random.ts';
import { makeRealisticValue } from '../realistic-value.ts';
import { countIn } from '../tally.ts';
import { openWire, type WireAnswer } from '../wire.ts';
import { makePusher, makeRemoteWriteSpeaker, prepare, type Speaker } from './speaker.ts';

/** `everyMs` lies between two ticks of a host. */
export type RateOrder = {
  readonly port: number;
  /** The tokens of the hosts where agents push; elsewhere what each is called, and where their remote write goes. */
  readonly hosts: readonly string[];
  readonly remoteWritePath: string | null;
  readonly metrics: number;
  readonly ticks: number;
  readonly everyMs: number;
  /** The first tick. */
  readonly fromMs: number;
  readonly seconds: number;
  /** How often each host sends; 0: as soon as it has its answer. */
  readonly sendEveryMs: number;
  /** Requests of each host under way at once. */
  readonly lanes: number;
  /** How many requests of each lane are made before the first is sent. */
  readonly prepared: number;
};

/** Once all is prepared the generator says 'ready', and begins at whatever it is told then. */
export type RateReply = {
  readonly samples: number;
  readonly statuses: ReadonlyMap<number, number>;
  /** From a request being sent to its answer. */
  readonly takenMs: Float64Array;
  readonly cpuMs: number;
  readonly stalledMs: number;
};

/** What one host sends: a batch at a time, each later than the one before. */
function makeBatches({ metrics, ticks, everyMs, fromMs }: RateOrder, series: readonly Series[], number: number) {
  const random = seededRandom(1, number);
  const values = series.map((_, i) => makeRealisticValue(i, random));
  let seq = 0;
  return (): Batch => {
    const ticksMs = Array.from({ length: ticks }, (_, i) => fromMs + (seq * ticks + i) * everyMs);
    const all = Float64Array.from({ length: metrics * ticks }, (_, i) => values[Math.floor(i / ticks)]?.() ?? 0);
    seq += 1;
    return { epoch: 1, seq, sentMs: Date.now(), everyMs, ticksMs, series, values: all };
  };
}

type Lane = { readonly speak: Speaker; readonly offsetMs: number };

function makeLanes(order: RateOrder): readonly Lane[] {
  const { hosts, remoteWritePath, metrics, lanes, sendEveryMs, prepared } = order;
  const series: Series[] = Array.from({ length: metrics }, (_, i) => [`bench.m${i}`, '']);
  return hosts.flatMap((host, number) => {
    const makeBatch = makeBatches(order, series, number);
    return Array.from({ length: lanes }, (_, place) => {
      const speak =
        remoteWritePath === null
          ? makePusher(host, lanes === 1, makeBatch)
          : makeRemoteWriteSpeaker(remoteWritePath, host, makeBatch);
      return { speak: prepare(speak, prepared), offsetMs: sendEveryMs * ((number / hosts.length + place / lanes) % 1) };
    });
  });
}

async function send(
  { port, metrics, ticks, seconds, sendEveryMs }: RateOrder,
  lanes: readonly Lane[],
): Promise<RateReply> {
  const statuses = new Map<number, number>();
  const taken: number[] = [];
  const stalls = monitorEventLoopDelay();
  stalls.enable();
  const cpu = process.cpuUsage();
  const untilMs = Date.now() + 1_000 * seconds;
  let samples = 0;

  await Promise.all(
    lanes.map(async ({ speak, offsetMs }) => {
      const wire = openWire(port);
      for (let dueMs = Date.now() + offsetMs; Date.now() < untilMs; dueMs += sendEveryMs) {
        if (sendEveryMs > 0) await sleep(dueMs - Date.now());
        const { bytes, settle } = speak();
        let answer: WireAnswer;
        do {
          const startedMs = performance.now();
          answer = await wire.ask(bytes);
          taken.push(performance.now() - startedMs);
          countIn(statuses, answer?.status ?? 0);
          if (answer?.status === 200 || answer?.status === 204) samples += metrics * ticks;
          // What is not taken now comes again, as an agent's does.
          if (answer?.status === 503) await sleep(answer.retryAfterMs);
        } while (answer?.status === 503 && Date.now() < untilMs);
        settle(answer);
      }
      wire.close();
    }),
  );
  const { user, system } = process.cpuUsage(cpu);
  return {
    samples,
    statuses,
    takenMs: Float64Array.from(taken),
    cpuMs: (user + system) / 1_000,
    stalledMs: stalls.percentile(99) / 1e6,
  };
}

process.once('message', (order: RateOrder) => {
  const lanes = makeLanes(order);
  process.send?.('ready');
  void once(process, 'message')
    .then(() => send(order, lanes))
    .then((reply) => process.send?.(reply, () => process.disconnect()));
});
