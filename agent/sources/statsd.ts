import { isIPv6 } from 'node:net';
import { join } from 'node:path';

import { formatLabels } from '@muster/proto/labels';

import { makeAllowance } from '../custom/allowance.ts';
import { keepListening } from '../custom/keep-listening.ts';
import { addressOf, CPU_RATIO_DEFAULT, type ListenSettings } from '../custom/listen.ts';
import { SERIES_LIMIT, type SeriesPool } from '../custom/series.ts';
import { isBoundTo, readBoundSockets } from '../port-holder.ts';
import { parseCount, readText, splitLines } from '../read-text.ts';
import type { Sample, Source } from '../source.ts';
import { parseSnmp } from './snmp.ts';
import { makeAggregate } from './statsd/aggregate.ts';
import { openListener } from './statsd/listener.ts';

export const STATSD_PORT = 8125;
/** Over this time packets may take their share of a core. */
const WINDOW_MS = 1_000;
const LABELS = {
  queue: formatLabels({ 'muster.reason': 'queue' }),
  flood: formatLabels({ 'muster.reason': 'flood' }),
} as const;

export type StatsdOptions = {
  readonly settings: ListenSettings;
  readonly pool: SeriesPool;
  readonly root: string;
  readonly now: () => number;
  /** The share of a core that packets may take; a twentieth where it is not said. */
  readonly cpuRatioMax?: number | undefined;
};

/** What services of the host send in the StatsD dialects, over UDP. */
export async function openStatsdSource(options: StatsdOptions): Promise<Source> {
  const { settings, pool, root, now, cpuRatioMax = CPU_RATIO_DEFAULT } = options;
  const { limit, port = STATSD_PORT } = settings;
  const address = addressOf(settings);
  const keeper = pool.open('statsd', limit);
  const aggregate = makeAggregate(keeper, limit ?? SERIES_LIMIT);
  const nowMs = (): number => performance.now();
  const allowance = makeAllowance({ windowMs: WINDOW_MS, cpuRatioMax, nowMs });
  const packets = makePacketCounts(root, address, port);
  const listening = await keepListening({
    protocol: 'udp',
    address,
    port,
    open: () =>
      openListener({
        address,
        port,
        allowance,
        onPacket: (packet) => {
          packets.add();
          const tsMs = now();
          for (const line of packet.toString().split(/\r?\n/)) if (line !== '') aggregate.take(line, tsMs);
        },
        onSkip: packets.addSkipped,
        onDeaf: packets.noteDeaf,
        nowMs,
      }),
    keeper,
    take: (tsMs) => aggregate.read(tsMs),
    sample: packets.sample,
    root,
    now,
  });
  return { name: 'statsd', ...listening, besideMs: allowance.totalMs };
}

/**
 * Counts packets, and those that nobody looked at. How many the kernel has turned away while nobody listened it counts for
 * the host as a whole, whatever port they were for, so these are at most so many.
 */
function makePacketCounts(root: string, address: string, port: number) {
  const isSix = isIPv6(address);
  let packets = 0;
  let skipped = 0;
  let sinceCount: number | null = null;
  let turnedAway = 0;

  function countSince(): number {
    const count = sinceCount === null ? null : readNoPorts(root, isSix);
    return sinceCount === null || count === null ? 0 : Math.max(0, count - sinceCount);
  }

  return {
    add: (): void => {
      packets += 1;
    },
    addSkipped: (): void => {
      packets += 1;
      skipped += 1;
    },
    noteDeaf: (isDeaf: boolean): void => {
      turnedAway += countSince();
      sinceCount = isDeaf ? readNoPorts(root, isSix) : null;
    },
    sample: (): readonly Sample[] => {
      const own = readBoundSockets(root, 'udp').find((socket) => socket.port === port && isBoundTo(socket, address));
      return [
        { metric: 'muster.agent.statsd.packets', labels: '', value: packets },
        { metric: 'muster.agent.statsd.packets.dropped', labels: LABELS.queue, value: own?.drops ?? 0 },
        {
          metric: 'muster.agent.statsd.packets.dropped',
          labels: LABELS.flood,
          value: skipped + turnedAway + countSince(),
        },
      ];
    },
  };
}

/** Source: kernel document networking/snmp_counter; RFC 4113 udpNoPorts. */
function readNoPorts(root: string, isSix: boolean): number | null {
  try {
    const text = readText(join(root, 'proc/net', isSix ? 'snmp6' : 'snmp')) ?? '';
    return isSix ? parseNoPorts6(text) : (parseSnmp(text, 'Udp').get('NoPorts') ?? null);
  } catch {
    return null; // not counted is better than not listening
  }
}

export function parseNoPorts6(text: string): number | null {
  const line = splitLines(text).find((one) => one.startsWith('Udp6NoPorts'));
  return parseCount(line?.split(/\s+/)[1]);
}
