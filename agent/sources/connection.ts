import { totalmem } from 'node:os';
import { join } from 'node:path';

import { formatLabels } from '@muster/proto/labels';
import { err, ok, type Result } from '@muster/proto/result';

import { parseCount, readText, splitLines } from '../read-text.ts';
import type { Source } from '../source.ts';
import { parseSnmp } from './snmp.ts';

/**
 * For the list of its sockets the kernel walks a table that is sized by the memory: 10 ms of CPU on 24 GB, however few there
 * are. So it is asked once a minute for each 8 GB, and once in five minutes at least.
 */
const EVERY_MS = 60_000 * Math.min(5, Math.ceil(totalmem() / 8e9));
/** Beyond this the list would cost more than it is worth: about 1 ms of CPU a thousand. */
const LISTED_MAX = 10_000;

/** By the number that the kernel gives a state, from 1 on. Source: include/net/tcp_states.h. */
const STATES = [
  'established',
  'syn_sent',
  'syn_received',
  'fin_wait_1',
  'fin_wait_2',
  'time_wait',
  'closed',
  'close_wait',
  'last_ack',
  'listen',
  'closing',
  'new_syn_received',
] as const;
export type TcpState = (typeof STATES)[number];

const LABELS = Object.fromEntries(
  STATES.map((state) => [state, formatLabels({ 'network.connection.state': state, 'network.transport': 'tcp' })]),
) as Readonly<Record<TcpState, string>>; // one entry for each of STATES

/** How many TCP sockets are in which state, over IPv4 and IPv6; `isPart`: there are too many to look at each. */
export type Connections = { readonly counts: ReadonlyMap<TcpState, number>; readonly isPart: boolean };

export function makeConnectionSource(root: string): Source {
  return {
    name: 'connections',
    everyMs: EVERY_MS,
    read: () => {
      const connections = readConnections(root);
      if (!connections.ok) return connections;
      const { counts, isPart } = connections.value;
      const samples = [...counts].map(
        ([state, value]) => ({ metric: 'system.network.connection.count', labels: LABELS[state], value }) as const,
      );
      return ok(
        isPart ? { samples, remark: `with over ${LISTED_MAX} sockets only the main states are counted` } : { samples },
      );
    },
  };
}

export function readConnections(root: string): Result<Connections, string> {
  const sockets = parseSockets(readText(join(root, 'proc/net/sockstat')) ?? '');
  if (sockets === null) return err('proc/net/sockstat has no TCP line');
  if (sockets.allocated + sockets.timeWait > LISTED_MAX) {
    const established = parseSnmp(readText(join(root, 'proc/net/snmp')) ?? '', 'Tcp').get('CurrEstab');
    const counts = new Map<TcpState, number>([['time_wait', sockets.timeWait]]);
    if (established !== undefined) counts.set('established', established);
    return ok({ counts, isPart: true });
  }
  const counts = new Map<TcpState, number>(STATES.slice(0, -1).map((state) => [state, 0]));
  for (const file of ['proc/net/tcp', 'proc/net/tcp6']) {
    const text = readText(join(root, file));
    if (text !== null) countStates(text, counts);
  }
  return ok({ counts, isPart: false });
}

/** Source: kernel document networking/proc_net_tcp: the fourth column is the state, two hexadecimal digits. */
export function countStates(text: string, counts: Map<TcpState, number>): void {
  for (const line of splitLines(text)) {
    const match = /^ *\d+: [0-9A-F]+:[0-9A-F]{4} [0-9A-F]+:[0-9A-F]{4} ([0-9A-F]{2}) /.exec(line);
    const state = STATES[Number.parseInt(match?.[1] ?? '', 16) - 1];
    if (state === undefined) continue;
    // A request that is not answered yet is the same to people, however the kernel keeps it.
    const shown = state === 'new_syn_received' ? 'syn_received' : state;
    counts.set(shown, (counts.get(shown) ?? 0) + 1);
  }
}

/** Sockets of IPv4 and IPv6 together. Source: net/ipv4/proc.c. */
export function parseSockets(text: string): { readonly allocated: number; readonly timeWait: number } | null {
  const match = /^TCP: inuse \d+ orphan \d+ tw (\d+) alloc (\d+) /m.exec(text);
  const [timeWait, allocated] = [parseCount(match?.[1]), parseCount(match?.[2])];
  return timeWait === null || allocated === null ? null : { allocated, timeWait };
}
