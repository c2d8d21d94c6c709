import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Batch, Series } from '@muster/proto/batch';

import { seededRandom } from '../random.ts';
import { makeRealisticValue } from '../realistic-value.ts';
import { countIn } from '../tally.ts';
import { openWire } from '../wire.ts';
import { makePusher, makeRemoteWriteSpeaker, type Speaker } from './speaker.ts';

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
  readonly untilMs: number;
  /** How often each host sends; 0: as soon as it has its answer. */
  readonly sendEveryMs: number;
  /** Requests of each host under way at once. */
  readonly lanes: number;
};

export type RateReply = {
  readonly samples: number;
  readonly statuses: ReadonlyMap<number, number>;
  /** From a request being sent to its answer. */
  readonly takenMs: Float64Array;
  readonly cpuMs: number;
  readonly stalledMs: number;
};

async function send(order: RateOrder): Promise<RateReply> {
  const { port, hosts, remoteWritePath, metrics, ticks, everyMs, fromMs, untilMs, sendEveryMs, lanes } = order;
  const series: Series[] = Array.from({ length: metrics }, (_, i) => [`bench.m${i}`, '']);
  const statuses = new Map<number, number>();
  const taken: number[] = [];
  const stalls = monitorEventLoopDelay();
  stalls.enable();
  const cpu = process.cpuUsage();
  let samples = 0;

  const makeSpeaker = (host: string): Speaker =>
    remoteWritePath === null ? makePusher(host, lanes === 1) : makeRemoteWriteSpeaker(remoteWritePath, host);

  async function sendOf(host: string, number: number): Promise<void> {
    const random = seededRandom(1, number);
    const values = series.map((_, i) => makeRealisticValue(i, random));
    let seq = 0;
    const makeBatch = (): Batch => {
      const ticksMs = Array.from({ length: ticks }, (_, i) => fromMs + (seq * ticks + i) * everyMs);
      const all = Float64Array.from({ length: metrics * ticks }, (_, i) => values[Math.floor(i / ticks)]?.() ?? 0);
      seq += 1;
      return { epoch: 1, seq, sentMs: Date.now(), everyMs, ticksMs, series, values: all };
    };
    const lane = async (place: number): Promise<void> => {
      const wire = openWire(port);
      const speak = makeSpeaker(host);
      const offsetMs = sendEveryMs * ((number / hosts.length + place / lanes) % 1);
      for (let dueMs = Date.now() + offsetMs; Date.now() < untilMs; dueMs += sendEveryMs) {
        if (sendEveryMs > 0) await new Promise((resolve) => setTimeout(resolve, dueMs - Date.now()));
        const { bytes, settle } = speak(makeBatch());
        const startedMs = performance.now();
        const answer = await wire.ask(bytes);
        taken.push(performance.now() - startedMs);
        countIn(statuses, answer?.status ?? 0);
        settle(answer);
        if (answer?.status === 200 || answer?.status === 204) samples += metrics * ticks;
        else if (answer !== null) await sleep(answer.retryAfterMs);
      }
      wire.close();
    };
    await Promise.all(Array.from({ length: lanes }, (_, place) => lane(place)));
  }

  await Promise.all(hosts.map(sendOf));
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
  void send(order).then((reply) => process.send?.(reply, () => process.disconnect()));
});
