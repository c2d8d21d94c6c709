import { ClickHouseError } from '@clickhouse/client';

import { isRecord } from '@muster/proto/record';

import { StoreError } from '../domain/store-error.ts';

/** What is wrong with a server as a whole, and what to do. */
export const AWAY = 'Cannot reach the ClickHouse server; start it, or correct MUSTER_STORE_URL';
const REFUSED = 'The ClickHouse server refuses the user or the password; correct MUSTER_STORE_URL';
const READ_ONLY = 'The ClickHouse server takes no writes from this user; give the user a profile without readonly';
const FULL =
  'Cannot write: the disk of the ClickHouse server is full; free space on it, or drop old samples with DELETE /api/v1/samples?beforeMs=';

/** By ClickHouse's number (src/Common/ErrorCodes.cpp): what holds for whatever is asked next. */
const OUTAGES: Readonly<Record<string, string>> = {
  192: REFUSED,
  193: REFUSED,
  194: REFUSED,
  516: REFUSED,
  81: 'The ClickHouse server has no such database; create it, or let the user of MUSTER_STORE_URL do so',
  497: 'The ClickHouse server does not let this user do what is needed; GRANT ALL ON the database of MUSTER_STORE_URL (for a cluster, also on the one of that name with _local behind it), TABLE ENGINE ON * and SELECT ON system.* to it',
  164: READ_ONLY,
  242: 'The ClickHouse server takes no writes: a table is read-only; its log says why',
  243: FULL,
  252: 'The ClickHouse server takes no writes until it has merged what it has (too many parts); give it more CPU if this stays',
};

const NO_MEMORY =
  'The ClickHouse server has no memory left for this write; it is tried again: give it more, if this stays';
const TOO_MUCH = 'Cannot answer: it is too much to read; ask for a shorter time';

/** What holds for one statement, or for now. */
const REFUSALS: Readonly<Record<string, string>> = {
  159: TOO_MUCH,
  202: 'The ClickHouse server has too many statements under way; try again, or raise max_concurrent_queries',
  241: TOO_MUCH,
  394: 'The ClickHouse server was told to give this up; try again',
};

/** Whether the server itself has said how a statement ended: then it goes on no longer. */
export function isAnswer(cause: unknown): boolean {
  return cause instanceof ClickHouseError;
}

/**
 * The fault of a server as a sentence that says what to do; `cause` has what the log needs. null: the server has refused
 * this one statement, for what is in it.
 */
export function findServerFault(cause: unknown): StoreError | null {
  if (cause instanceof StoreError) return cause;
  if (!(cause instanceof ClickHouseError)) return describeWire(cause);
  const outage = OUTAGES[cause.code];
  if (outage !== undefined) return new StoreError(outage, cause.code === '243', cause, true);
  // The system ran out of space on the way, where the server had reserved some.
  if (/no space left|quota exceeded/i.test(cause.message)) return new StoreError(FULL, true, cause);
  const refusal = REFUSALS[cause.code];
  return refusal === undefined ? null : new StoreError(refusal, false, cause);
}

/** The same of a write, which has no fault that is not the store's. */
export function describeWriteFault(cause: unknown): StoreError {
  if (cause instanceof ClickHouseError && cause.code === '241') return new StoreError(NO_MEMORY, false, cause);
  const unknown = 'Cannot write to the ClickHouse server; the log of the collector says why';
  return findServerFault(cause) ?? new StoreError(unknown, false, cause);
}

/** Nobody answered, or somebody who does not speak as ClickHouse does. */
function describeWire(cause: unknown): StoreError {
  const code = isRecord(cause) && typeof cause['code'] === 'string' ? cause['code'] : '';
  const message = cause instanceof Error ? cause.message : '';
  if (/CERT|SELF_SIGNED|UNABLE_TO_VERIFY/.test(code))
    return new StoreError(
      'The certificate of the ClickHouse server is not trusted; name its authority in NODE_EXTRA_CA_CERTS',
      false,
      cause,
      true,
    );
  if (/^(EPROTO|ERR_SSL)/.test(code) || code.startsWith('HPE_'))
    return new StoreError(NOT_CLICKHOUSE, false, cause, true);
  const isAway = code !== '' || /timeout|socket hang up|aborted/i.test(message);
  return new StoreError(isAway ? AWAY : NOT_CLICKHOUSE, false, cause, true);
}

export const NOT_CLICKHOUSE =
  'What answers at MUSTER_STORE_URL is no ClickHouse server; give the address of its HTTP interface (port 8123, or 8443 with https)';
