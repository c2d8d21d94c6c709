import { isIPv6 } from 'node:net';
import { join } from 'node:path';

import { formatLabels } from '@muster/proto/labels';
import { err, ok } from '@muster/proto/result';

import { ADDRESS_DEFAULT, describeFault, describeOpen, formatEndpoint, type ListenSettings } from '../custom/listen.ts';
import { readBoundSockets } from '../custom/port-holder.ts';
import { SERIES_LIMIT, type SeriesPool } from '../custom/series.ts';
import { parseCount, readText, splitLines } from '../read-text.ts';
import type { ReadResult, Sample, Source } from '../source.ts';
import { makeAggregate } from './statsd/aggregate.ts';
import { openListener, type Listener } from './statsd/listener.ts';

export const STATSD_PORT = 8125;
/** A port that was taken is tried again so often. */
const RETRY_MS = 30_000;
const LABELS = {
  queue: formatLabels({ 'muster.reason': 'queue' }),
  flood: formatLabels({ 'muster.reason': 'flood' }),
} as const;

export type StatsdOptions = {
  readonly settings: ListenSettings;
  readonly pool: SeriesPool;
  readonly root: string;
  readonly now: () => number;
};

/** What services of the host send in the StatsD dialects, over UDP. */
export async function openStatsdSource({ settings, pool, root, now }: StatsdOptions): Promise<Source> {
  const { limit, port = STATSD_PORT } = settings;
  const address = settings['remote-address'] ?? settings.address ?? ADDRESS_DEFAULT;
  const endpoint = formatEndpoint(address, port);
  const keeper = pool.open('statsd', limit);
  const aggregate = makeAggregate(keeper, limit ?? SERIES_LIMIT);
  const packets = makePacketCounts(root, address, port);
  let listener = await listen();
  let fault = describe();
  let triedMs = now();

  function listen(): Promise<Listener> {
    const onPacket = (packet: Buffer): void => {
      const nowMs = now();
      for (const line of packet.toString().split('\n')) if (line !== '') aggregate.take(line, nowMs);
    };
    return openListener({ address, port, onPacket, onDeaf: packets.noteDeaf, nowMs: () => performance.now() });
  }

  function describe(): string | null {
    const found = listener.fault();
    return found === null ? null : describeFault(root, { protocol: 'udp', endpoint, port }, found);
  }

  function read(nowMs: number): ReadResult {
    const { samples, remark, events } = keeper.report(nowMs);
    // What came before it lost its port is told still.
    const told = aggregate.read(nowMs);
    if (fault !== null && told.length === 0) return err(fault);
    const remarks = [fault, remark].filter((one) => one !== null);
    return ok({
      samples: [...told, ...samples, ...packets.sample(listener)],
      events,
      ...(remarks.length === 0 ? {} : { remark: remarks.join('; ') }),
    });
  }

  return {
    name: 'statsd',
    read: () => {
      const nowMs = now();
      // One that fails while it listens is found out here.
      if (fault === null && listener.fault() !== null) fault = describe();
      if (fault === null || Math.abs(nowMs - triedMs) < RETRY_MS) return read(nowMs);
      triedMs = nowMs;
      packets.keep(listener);
      return listener
        .close()
        .then(listen)
        .then((opened) => {
          listener = opened;
          fault = describe();
          return read(nowMs);
        });
    },
    diagnose: async () => (fault === null ? [describeOpen('udp', address, endpoint)] : [{ what: fault }]),
    close: async () => {
      keeper.close();
      await listener.close();
    },
  };
}

/**
 * Counts packets, and those that nobody looked at. How many the kernel has turned away while nobody listened it counts for
 * the host as a whole, whatever port they were for, so these are at most so many.
 */
function makePacketCounts(root: string, address: string, port: number) {
  const kept = { packets: 0, skipped: 0 };
  const isSix = isIPv6(address);
  let sinceCount: number | null = null;
  let turnedAway = 0;

  function countSince(): number {
    const count = sinceCount === null ? null : readNoPorts(root, isSix);
    return sinceCount === null || count === null ? 0 : Math.max(0, count - sinceCount);
  }

  return {
    noteDeaf: (isDeaf: boolean): void => {
      turnedAway += countSince();
      sinceCount = isDeaf ? readNoPorts(root, isSix) : null;
    },
    /** Of one that is about to be replaced. */
    keep: (listener: Listener): void => {
      kept.packets += listener.packets();
      kept.skipped += listener.skipped();
    },
    sample: (listener: Listener): readonly Sample[] => {
      const queue = readBoundSockets(root, 'udp').find((socket) => socket.port === port)?.drops ?? 0;
      const flood = kept.skipped + listener.skipped() + turnedAway + countSince();
      return [
        { metric: 'muster.agent.statsd.packets', labels: '', value: kept.packets + listener.packets() },
        { metric: 'muster.agent.statsd.packets.dropped', labels: LABELS.queue, value: queue },
        { metric: 'muster.agent.statsd.packets.dropped', labels: LABELS.flood, value: flood },
      ];
    },
  };
}

/** Source: kernel document networking/snmp_counter; RFC 4113 udpNoPorts. */
function readNoPorts(root: string, isSix: boolean): number | null {
  try {
    const text = readText(join(root, 'proc/net', isSix ? 'snmp6' : 'snmp')) ?? '';
    return isSix ? parseNoPorts6(text) : parseNoPorts(text);
  } catch {
    return null; // not counted is better than not listening
  }
}

export function parseNoPorts(text: string): number | null {
  const [names = [], counts = []] = splitLines(text)
    .filter((line) => line.startsWith('Udp: '))
    .map((line) => line.split(' '));
  const at = names.indexOf('NoPorts');
  return at === -1 ? null : parseCount(counts[at]);
}

export function parseNoPorts6(text: string): number | null {
  const line = splitLines(text).find((one) => one.startsWith('Udp6NoPorts'));
  return parseCount(line?.split(/\s+/)[1]);
}
