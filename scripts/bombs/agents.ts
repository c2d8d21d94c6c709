import { setTimeout as sleep } from 'node:timers/promises';

import { encodeBatch } from '@muster/proto/batch';

import { enrolHost } from '../enrol.ts';
import type { RunningCollector } from '../start-collector.ts';
import { openWire } from '../wire.ts';
import { writeHead } from './kinds.ts';

/** Each pushes the next batch when the last is acknowledged and a little time has passed. */
const PAUSE_MS = 200;
/** What each delivers first, as after an outage: the memory for that is not the bombs'. */
const BACKLOG_TICKS = 600;

/** Honest agents, and what they feel. */
export type Agents = {
  /** How long each push since the last call has taken, in ms. */
  readonly takeTimes: () => readonly number[];
  readonly acknowledged: () => number;
  readonly failed: () => number;
  readonly close: () => Promise<void>;
};

export async function openAgents(collector: RunningCollector, count: number): Promise<Agents> {
  let times: number[] = [];
  let acknowledged = 0;
  let failed = 0;
  let isClosing = false;
  const run = async (token: string): Promise<void> => {
    const wire = openWire(collector.port);
    for (let seq = 0; !isClosing; seq += 1) {
      const body = makeBatch(seq, seq < 2 ? BACKLOG_TICKS : 1);
      const startedMs = performance.now();
      const answer = await wire.ask([Buffer.from(writeHead(token, body.length, null)), body]);
      times.push(performance.now() - startedMs);
      if (answer?.status === 200) acknowledged += 1;
      else failed += 1;
      await sleep(PAUSE_MS);
    }
    wire.close();
  };
  const names = Array.from({ length: count }, (_, i) => `agent-${i}`);
  const identities = await Promise.all(names.map((name) => enrolHost(collector, name)));
  const running = Promise.all(identities.map(({ token }) => run(token)));
  return {
    takeTimes() {
      const taken = times;
      times = [];
      return taken;
    },
    acknowledged: () => acknowledged,
    failed: () => failed,
    async close() {
      isClosing = true;
      await running;
    },
  };
}

function makeBatch(seq: number, ticks: number): Uint8Array {
  const nowMs = Date.now();
  const series = Array.from({ length: 50 }, (_, core) => ['system.cpu.utilization', `cpu=${core}`] as const);
  const ticksMs = Array.from({ length: ticks }, (_, tick) => nowMs - (ticks - 1 - tick) * 1000);
  const values = new Float64Array(series.length * ticks).fill(0.5);
  return encodeBatch({ epoch: 1, seq, sentMs: nowMs, ticksMs, series, values });
}
