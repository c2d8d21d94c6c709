import type { EventsReply, HostEventRow } from '@muster/proto/api';
import { isRecord } from '@muster/proto/record';

import type { Engine } from './store.ts';

/** The most events that one answer names. */
const EVENTS_MAX = 100;

/** The newest events of a host in a range; what was told twice is one. */
export async function readEvents(
  engine: Engine,
  { host, fromMs, toMs }: { readonly host: string; readonly fromMs: number; readonly toMs: number },
): Promise<Pick<EventsReply, 'events' | 'eventsCount'>> {
  const rows = await engine.query(
    `SELECT kind, toUnixTimestamp64Milli(ts) AS atMs, body, count() OVER () AS total FROM events FINAL
     WHERE host = {host:String} AND ts >= fromUnixTimestamp64Milli({fromMs:Int64})
       AND ts < fromUnixTimestamp64Milli({toMs:Int64})
     ORDER BY ts DESC, kind, body LIMIT ${EVENTS_MAX}`,
    { host, fromMs, toMs },
  );
  return { eventsCount: Number(rows[0]?.['total'] ?? 0), events: rows.map(toEvent) };
}

function toEvent(row: Readonly<Record<string, unknown>>): HostEventRow {
  const body: unknown = JSON.parse(String(row['body']));
  const said = isRecord(body) ? body : {};
  const { subject, toMs, dropped, reason } = said;
  return {
    kind: String(row['kind']),
    atMs: Number(row['atMs']),
    ...(typeof subject === 'string' ? { subject } : {}),
    ...(typeof reason === 'string' ? { subject: reason } : {}),
    ...(typeof toMs === 'number' ? { toMs } : {}),
    ...(typeof dropped === 'number' ? { dropped } : {}),
  };
}
