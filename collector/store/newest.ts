import { WINDOW_MS, type HeardHost, type StoredValue } from '../domain/samples.ts';
import type { Engine } from './store.ts';

/** Of a host that has been silent for longer, only when it was heard is brought back. */
const RECENT_MS = 15 * 60_000;
/** Of a host whose newest tick is older, all its batches are looked at; there are few such hosts. */
const HEARD_MS = 3_600_000;
/** How many hosts one statement names. */
const HOSTS_MAX = 1_000;

/** The newest sample of every series that is still renewed: what the fleet looked like before a restart. */
export async function readNewest(engine: Engine, nowMs: number): Promise<readonly StoredValue[]> {
  const rows = await engine.query(
    `SELECT host, metric, labels, toUnixTimestamp64Milli(max(ts)) AS tsMs, argMax(value, ts) AS value
     FROM samples WHERE start > fromUnixTimestamp64Milli(${nowMs - RECENT_MS}) - INTERVAL ${WINDOW_MS / 1000} SECOND
       AND ts >= fromUnixTimestamp64Milli(${nowMs - RECENT_MS}) GROUP BY host, metric, labels`,
  );
  return rows.map((row) => ({
    host: String(row['host']),
    metric: String(row['metric']),
    labels: String(row['labels']),
    tsMs: Number(row['tsMs']),
    value: Number(row['value']),
  }));
}

/**
 * When each of these hosts was last heard, as far back as it is kept which batches arrived. The table is ordered by host:
 * of those that are silent their own rows are read, of the others those of today.
 */
export async function readHeard(
  engine: Engine,
  hosts: readonly string[],
  nowMs: number,
): Promise<readonly HeardHost[]> {
  const read = async (where: string): Promise<readonly HeardHost[]> => {
    const rows = await engine.query(
      `SELECT host, toUnixTimestamp64Milli(max(at)) AS lastMs, toUnixTimestamp64Milli(max(received)) AS arrivedMs
       FROM batches WHERE ${where} GROUP BY host`,
    );
    return rows.map((row) => ({
      host: String(row['host']),
      lastMs: Number(row['lastMs']),
      arrivedMs: Number(row['arrivedMs']),
    }));
  };
  const heard = [...(await read(`at >= fromUnixTimestamp64Milli(${nowMs - HEARD_MS})`))];
  const known = new Set(heard.map(({ host }) => host));
  const silent = hosts.filter((host) => !known.has(host));
  for (let i = 0; i < silent.length; i += HOSTS_MAX)
    heard.push(...(await read(isOneOf(silent.slice(i, i + HOSTS_MAX)))));
  return heard;
}

/** In hexadecimal: nothing is bound, for what is has limits, and no text from outside stands in a statement. */
function isOneOf(hosts: readonly string[]): string {
  return `host IN (${hosts.map((host) => `unhex('${Buffer.from(host).toString('hex')}')`).join(', ')})`;
}
