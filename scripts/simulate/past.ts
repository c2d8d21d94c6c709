import { setTimeout as sleep } from 'node:timers/promises';

import { encodeBatch } from '@muster/proto/batch';
import { EVENTS_MAX } from '@muster/proto/event';
import { BATCH_CONTENT_TYPE } from '@muster/proto/push';

import { packBody } from '../../agent/compress.ts';
import { openWire, type Wire } from '../wire.ts';
import type { Finding, SimulatedHost } from './host.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const WINDOW_MS = 300_000;
/** The rollups that a chart of so long a range reads: what is older is told as those of longer ranges have it. */
const WINDOWS_MS = 14 * DAY_MS;
/** Of the past, so much is told as samples, at the interval of what comes then. */
const TAIL_MS = HOUR_MS;
/** Requests under way at once: what comes together is stored together. */
const LANES = 200;
/** A body may be a mebibyte, of which so many take three quarters over 288 ticks. */
const SERIES_AT_ONCE = 1_000;
const RETRIES_MAX = 60;

/** A stretch of the past that one request tells: whole days, and what there is of today. */
export type Stretch = { readonly ticksMs: readonly number[]; readonly everyMs: number };

/**
 * What is told of the past before the samples begin: every hour, of the last two weeks every five minutes. `samplesMs` is
 * where samples begin: with an hour, which is then computed of them.
 */
export function planPast(
  fromMs: number,
  liveMs: number,
): { readonly stretches: readonly Stretch[]; readonly samplesMs: number } {
  const samplesMs = Math.max(fromMs, Math.floor((liveMs - TAIL_MS) / HOUR_MS) * HOUR_MS);
  const fineMs = Math.floor((liveMs - WINDOWS_MS) / DAY_MS) * DAY_MS;
  const stretches: Stretch[] = [];
  let atMs = fromMs;
  while (atMs < samplesMs) {
    const isFine = atMs >= fineMs;
    const everyMs = isFine ? WINDOW_MS : HOUR_MS;
    const dayMs = Math.floor(atMs / DAY_MS) * DAY_MS;
    const endMs = Math.min(samplesMs, isFine ? dayMs + DAY_MS : Math.min(fineMs, dayMs + 12 * DAY_MS));
    const first = Math.ceil(atMs / everyMs) * everyMs;
    const ticks = Math.max(0, Math.ceil((endMs - first) / everyMs));
    stretches.push({ ticksMs: Array.from({ length: ticks }, (_, i) => first + i * everyMs), everyMs });
    atMs = endMs;
  }
  return { stretches, samplesMs };
}

export type PastHost = {
  /** As the collector calls it. */
  readonly id: string;
  readonly host: SimulatedHost;
};

export type PastOptions = {
  readonly hosts: readonly PastHost[];
  readonly stretches: readonly Stretch[];
  readonly port: number;
  readonly key: string;
  /** Called after each stretch. */
  readonly onProgress: (share: number) => void;
  readonly signal: AbortSignal;
};

/** Tells the past of hosts to a collector, stretch after stretch. Resolves to how many values that was; throws when they are not taken. */
export async function tellPast({ hosts, stretches, port, key, onProgress, signal }: PastOptions): Promise<number> {
  const wires = Array.from({ length: Math.min(LANES, hosts.length) }, () => openWire(port));
  let told = 0;
  try {
    for (const [at, stretch] of stretches.entries()) {
      let next = 0;
      const run = async (wire: Wire): Promise<void> => {
        for (let one = hosts[next++]; one !== undefined && !signal.aborted; one = hosts[next++]) {
          for (const { body, values } of packStretch(one.host, stretch)) {
            await send(wire, { path: `/api/v1/hosts/${one.id}/history`, key, body });
            told += values;
          }
        }
      };
      await Promise.all(wires.map(run));
      if (signal.aborted) break;
      onProgress((at + 1) / stretches.length);
    }
  } finally {
    for (const wire of wires) wire.close();
  }
  return told;
}

type Packed = { readonly body: ReturnType<typeof packBody>; readonly values: number };

function packStretch(host: SimulatedHost, { ticksMs, everyMs }: Stretch): readonly Packed[] {
  const found: Omit<Finding, 'values'>[] = [];
  const columns: Float64Array[] = [];
  for (const tickMs of ticksMs) {
    const finding = host.read(tickMs);
    // A clock that is set right again may tell a time twice.
    if (finding === null || finding.tsMs <= (found.at(-1)?.tsMs ?? 0)) continue;
    found.push(finding);
    columns.push(finding.values.slice());
  }
  const { described } = host;
  const packed: Packed[] = [];
  for (let first = 0; first < host.series.length; first += SERIES_AT_ONCE) {
    const series = host.series.slice(first, first + SERIES_AT_ONCE);
    const values = new Float64Array(series.length * columns.length);
    for (const [at, column] of columns.entries())
      for (let row = 0; row < series.length; row += 1) values[row * columns.length + at] = column[first + row] ?? NaN;
    const message = encodeBatch({
      epoch: 0,
      seq: 0,
      sentMs: Date.now(),
      everyMs,
      ticksMs: found.map(({ tsMs }) => tsMs),
      series,
      ...(first === 0 ? { described, events: found.flatMap(({ events }) => events).slice(0, EVENTS_MAX) } : {}),
      values,
    });
    packed.push({ body: packBody({ message, beside: null }), values: values.length });
  }
  return packed;
}

type Sending = { readonly path: string; readonly key: string; readonly body: Packed['body'] };

async function send(wire: Wire, { path, key, body: { body, isCompressed } }: Sending): Promise<void> {
  const lines = [
    `POST ${path} HTTP/1.1`,
    'Host: 127.0.0.1',
    `Authorization: Bearer ${key}`,
    `Content-Type: ${BATCH_CONTENT_TYPE}`,
    ...(isCompressed ? ['Content-Encoding: zstd'] : []),
    `Content-Length: ${body.length}`,
  ];
  const head = Buffer.from(`${lines.join('\r\n')}\r\n\r\n`);
  for (let tries = 0; ; tries += 1) {
    const answer = await wire.ask([head, body]);
    if (answer?.status === 200) return;
    const isLater = answer === null || answer.status === 429 || answer.status === 503;
    if (!isLater || tries === RETRIES_MAX)
      throw new Error(
        `Cannot tell the past: the collector answers ${answer?.status ?? 'nothing'} ${answer?.body ?? ''}`,
      );
    await sleep(answer?.retryAfterMs || 1_000);
  }
}
