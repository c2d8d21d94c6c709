import { join } from 'node:path';

import { formatLabels } from '@muster/proto/labels';
import { err, ok, type Result } from '@muster/proto/result';

import { readText } from '../read-text.ts';
import type { Sample, Source } from '../source.ts';
import { parseSnmp } from './snmp.ts';

/** The kernel adds up its tables over all cores for it. */
const EVERY_MS = 5_000;

/** Counted since boot, in segments; `listenOverflows` are connections that a full queue of a listener turned away. */
export type Tcp = {
  readonly received: number;
  readonly sent: number;
  readonly retransmitted: number;
  readonly opened: number;
  readonly accepted: number;
  readonly failed: number;
  readonly reset: number;
  readonly listenOverflows: number | null;
};

const RECEIVE = formatLabels({ 'network.io.direction': 'receive' });
const TRANSMIT = formatLabels({ 'network.io.direction': 'transmit' });

export function makeTcpSource(root: string): Source {
  return {
    name: 'tcp',
    everyMs: EVERY_MS,
    read: () => {
      const tcp = readTcp(root);
      return tcp.ok ? ok({ samples: sampleTcp(tcp.value) }) : tcp;
    },
  };
}

export function readTcp(root: string): Result<Tcp, string> {
  const snmp = readText(join(root, 'proc/net/snmp'));
  if (snmp === null) return err('there is no proc/net/snmp');
  return parseTcp(snmp, readText(join(root, 'proc/net/netstat')) ?? '');
}

/** Source: RFC 4022 for the names of /proc/net/snmp, kernel document networking/snmp_counter for those of netstat. */
export function parseTcp(snmp: string, netstat: string): Result<Tcp, string> {
  const fields = parseSnmp(snmp, 'Tcp');
  const count = (name: string): number => fields.get(name) ?? 0;
  if (!fields.has('InSegs') || !fields.has('OutSegs') || !fields.has('RetransSegs')) {
    return err('proc/net/snmp has no Tcp line with InSegs, OutSegs and RetransSegs');
  }
  return ok({
    received: count('InSegs'),
    sent: count('OutSegs'),
    retransmitted: count('RetransSegs'),
    opened: count('ActiveOpens'),
    accepted: count('PassiveOpens'),
    failed: count('AttemptFails'),
    reset: count('EstabResets'),
    listenOverflows: parseSnmp(netstat, 'TcpExt').get('ListenOverflows') ?? null,
  });
}

function sampleTcp(tcp: Tcp): Sample[] {
  const samples: Sample[] = [
    { metric: 'system.network.tcp.segments', labels: RECEIVE, value: tcp.received },
    { metric: 'system.network.tcp.segments', labels: TRANSMIT, value: tcp.sent },
    { metric: 'system.network.tcp.retransmits', labels: '', value: tcp.retransmitted },
    { metric: 'system.network.tcp.opens', labels: TRANSMIT, value: tcp.opened },
    { metric: 'system.network.tcp.opens', labels: RECEIVE, value: tcp.accepted },
    { metric: 'system.network.tcp.open_failures', labels: '', value: tcp.failed },
    { metric: 'system.network.tcp.resets', labels: '', value: tcp.reset },
  ];
  if (tcp.listenOverflows !== null) {
    samples.push({ metric: 'system.network.tcp.listen_overflows', labels: '', value: tcp.listenOverflows });
  }
  return samples;
}
