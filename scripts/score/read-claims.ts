import { CLOCK_OFFSET_MS_MAX, SILENT_INTERVALS, SILENT_MS_MIN } from '@muster/proto/api';
import type { CompletenessReply, EventsReply, HostRow, HostsReply } from '@muster/proto/api';

import type { Claim, Range } from './score.ts';

/** Asks the collector something; throws when it does not answer it. */
export type Ask = <T>(path: string) => Promise<T>;

/** Hosts that are asked about at once. */
const HOSTS_AT_ONCE = 8;
/** A start so soon after a shutdown in order is none to be told. */
const PLANNED_MS = 15 * 60_000;
/** What the agent tells that somebody should know. */
const EVENTS: ReadonlySet<string> = new Set([
  'boot',
  'oom-kill',
  'container-died',
  'container-oom',
  'container-unhealthy',
  'check-down',
]);

/** What the collector has kept of what it said of a range: silences and events. */
export async function readClaims(ask: Ask, { fromMs, toMs }: Range): Promise<readonly Claim[]> {
  const { hosts } = await ask<HostsReply>('/api/v1/hosts');
  const claims: Claim[] = [];
  let next = 0;
  const run = async (): Promise<void> => {
    for (let row = hosts[next++]; row !== undefined; row = hosts[next++]) {
      const path = `/api/v1/hosts/${row.host}`;
      const range = `fromMs=${fromMs}&toMs=${toMs}`;
      const { silences } = await ask<CompletenessReply>(`${path}/completeness?${range}`);
      const { events } = await ask<EventsReply>(`${path}/events?${range}`);
      claims.push(...listSilences(row, silences), ...listEvents(row.host, events));
    }
  };
  await Promise.all(Array.from({ length: HOSTS_AT_ONCE }, run));
  return claims;
}

function listSilences({ host, everyMs }: HostRow, silences: CompletenessReply['silences']): readonly Claim[] {
  const silentMs = Math.max(SILENT_MS_MIN, SILENT_INTERVALS * (everyMs ?? 0));
  return silences
    .filter(({ fromMs, toMs }) => toMs - fromMs > silentMs)
    .map(({ fromMs, toMs }) => ({
      kind: 'silent',
      host,
      subject: null,
      fromMs,
      toMs,
      saidMs: fromMs + silentMs,
      endsMs: null,
    }));
}

function listEvents(host: string, events: EventsReply['events']): readonly Claim[] {
  const shutdowns = events.filter(({ kind }) => kind === 'shutdown').map(({ atMs }) => atMs);
  const isPlanned = (atMs: number): boolean => shutdowns.some((one) => one <= atMs && atMs - one <= PLANNED_MS);
  return events
    .filter(({ kind, atMs }) => EVENTS.has(kind) && !(kind === 'boot' && isPlanned(atMs)))
    .map(({ kind, atMs, subject }) => ({
      kind,
      host,
      // Of a process that was killed the name is told: it is a thing of the host.
      subject: kind === 'oom-kill' ? null : (subject ?? null),
      fromMs: atMs,
      toMs: atMs,
      saidMs: atMs,
      endsMs: null,
    }));
}

/** What it says just now and forgets: which hosts are silent, and whose clocks are wrong. */
export async function readStanding(ask: Ask): Promise<readonly Claim[]> {
  const { nowMs, hosts } = await ask<HostsReply>('/api/v1/hosts');
  const say = (kind: string, { host }: HostRow, fromMs: number): Claim => ({
    kind,
    host,
    subject: null,
    fromMs,
    toMs: nowMs,
    saidMs: nowMs,
    endsMs: null,
  });
  const claims: Claim[] = [];
  for (const row of hosts) {
    if (row.status === 'silent') claims.push(say('silent', row, row.arrivedMs ?? nowMs));
    if (Math.abs(row.clockOffsetMs ?? 0) > CLOCK_OFFSET_MS_MAX) claims.push(say('clock', row, nowMs));
  }
  return claims;
}
