import { hostname } from 'node:os';

import { ClickHouseError, type ClickHouseClient } from '@clickhouse/client';

import { findServerFault } from './server-fault.ts';

/** Who has not been heard for so long, by the clock of the server, is taken for dead. */
export const LAPSE_MS = 30_000;

/** A claim to a database (claim.ts): a table, whose comment says by whom it was made and when it was heard last. */
export type Listed = {
  readonly number: number;
  readonly table: string;
  readonly id: string;
  /** As people are told. */
  readonly who: string;
  /** How long ago its table was made, by the clock of the server. */
  readonly ageMs: number;
};

/** `isFree`: given up, or its owner has not been heard for long. */
export type Found = Listed & { readonly isFree: boolean };

const NONE: Found = { number: 0, table: '', id: '', who: '', ageMs: 0, isFree: true };

const TABLE_EXISTS = '57';
const TABLE_UNKNOWN = '60';

/** Of those who make the table with the next number one succeeds. Who it was is to be read then: an answer may be lost. */
export async function makeNext(client: ClickHouseClient, { number }: Listed, id: string): Promise<void> {
  const who = `process ${process.pid} on ${hostname().replaceAll(/[^\w.-]/g, '?')}`;
  const query = `CREATE TABLE claim_${number + 1} (beat UInt64, at DateTime64(3, 'UTC') DEFAULT now64(3), isReleased UInt8 DEFAULT 0)
    ENGINE = ReplacingMergeTree(beat) ORDER BY tuple() COMMENT '${id} ${who}'`;
  await tell(client, query).catch((cause: unknown) => {
    if (codeOf(cause) !== TABLE_EXISTS) throw cause;
  });
}

/** The claim that counts; null: it went just now. */
export async function readNewest(client: ClickHouseClient): Promise<Found | null> {
  const newest = (await listClaims(client)).at(-1);
  if (newest === undefined) return NONE;
  try {
    // The clock may be set back or ahead: what was heard long after now is as old.
    const [beat] = await ask(
      client,
      `SELECT isReleased, abs(dateDiff('millisecond', at, now64(3))) AS ageMs FROM ${newest.table} ORDER BY beat DESC LIMIT 1`,
    );
    const ageMs = beat === undefined ? newest.ageMs : Number(beat['ageMs']);
    return { ...newest, isFree: ageMs >= LAPSE_MS || Number(beat?.['isReleased'] ?? 0) === 1 };
  } catch (cause) {
    if (codeOf(cause) === TABLE_UNKNOWN) return null;
    throw cause;
  }
}

/** All claims, the one that counts last. */
export async function listClaims(client: ClickHouseClient, given: Partial<Given> = {}): Promise<readonly Listed[]> {
  const rows = await ask(client, LIST, given);
  return rows.map((row) => {
    const [id = '', ...who] = String(row['comment']).split(' ');
    const table = String(row['name']);
    const number = Number(table.slice('claim_'.length));
    return { number, table, id, who: who.join(' '), ageMs: Number(row['ageMs']) };
  });
}

const LIST = `SELECT name, comment, abs(dateDiff('millisecond', metadata_modification_time, now64(3))) AS ageMs
  FROM system.tables WHERE database = currentDatabase() AND match(name, '^claim_[0-9]+$')
  ORDER BY toUInt64(substring(name, 7))`;

/** How a statement is sent, beside its text. */
export type Given = {
  readonly query_id: string;
  readonly session_id?: string;
  readonly clickhouse_settings?: Readonly<Record<string, string>>;
};

/** Rows of a question. A fault of the server as a whole is a StoreError, as below. */
export async function ask(client: ClickHouseClient, query: string, given: Partial<Given> = {}) {
  try {
    const result = await client.query({ query, format: 'JSONEachRow', ...given });
    return await result.json<Record<string, unknown>>();
  } catch (cause) {
    throw findServerFault(cause) ?? cause;
  }
}

export async function tell(client: ClickHouseClient, query: string): Promise<void> {
  try {
    await client.command({ query });
  } catch (cause) {
    throw findServerFault(cause) ?? cause;
  }
}

/** ClickHouse's number of a fault of one statement. */
export function codeOf(cause: unknown): string {
  return cause instanceof ClickHouseError ? cause.code : '';
}
