import type { Inventory } from '@muster/proto/batch';
import { isRecord } from '@muster/proto/record';

import type { Column } from './native.ts';
import { DATABASE, type Engine } from './store.ts';

export type HostRecord = {
  readonly host: string;
  readonly name: string;
  readonly machine: string;
  readonly enrolledMs: number;
  readonly inventory: Inventory | null;
};
/**
 * `hash`: SHA-256 of the token, hex. `machines`: those that used it, each by the start of a hash. One that is revoked is
 * kept until it is cleared away, so that who still brings it can be told.
 */
export type EnrolmentToken = {
  readonly hash: string;
  readonly createdMs: number;
  readonly expiresMs: number;
  readonly hosts: number;
  readonly machines: readonly string[];
  readonly isRevoked: boolean;
};
/**
 * `hash`: SHA-256 of the token, hex. A host has one token that is not `replaced`: `live`, or `quarantined` (two
 * machines send with it), or `revoked` by an administrator. `sinceMs` is when it got into its state.
 */
export type HostToken = {
  readonly hash: string;
  readonly host: string;
  readonly createdMs: number;
  readonly state: 'live' | 'quarantined' | 'revoked' | 'replaced';
  readonly sinceMs: number;
};
/** `hash`: SHA-256 of the session's id, hex. */
export type SessionRecord = { readonly hash: string; readonly createdMs: number; readonly usedMs: number };

/**
 * A small table that is read into memory once and written through: each change is a new version of a row, the newest
 * counts, a removal is a version too.
 */
export type StateTable<T> = {
  get(key: string): T | undefined;
  all(): Iterable<T>;
  /** Resolves when it is stored; `get` gives it from then on. */
  put(row: T): Promise<void>;
  /** Puts what `step` makes of the row as it is when its turn comes; nothing when it is gone by then. */
  change(key: string, step: (row: T) => T): Promise<void>;
  /** `get` no longer gives the row from now on; resolves when that is stored. */
  remove(key: string): Promise<void>;
};

export type State = {
  readonly hosts: StateTable<HostRecord>;
  readonly enrolmentTokens: StateTable<EnrolmentToken>;
  readonly hostTokens: StateTable<HostToken>;
  readonly sessions: StateTable<SessionRecord>;
};

/** Reads all state. `now` gives the versions, which rise even when the clock does not. */
export async function loadState(engine: Engine, now: () => number): Promise<State> {
  return {
    hosts: await loadTable<HostRecord>(engine, now, {
      table: 'hosts',
      key: 'host',
      encode: (row) => [
        text('host', row.host),
        text('name', row.name),
        text('machine', row.machine),
        count('enrolledMs', row.enrolledMs),
        text('inventory', JSON.stringify(row.inventory)),
      ],
      decode: (row) => ({
        host: String(row['host']),
        name: String(row['name']),
        machine: String(row['machine']),
        enrolledMs: Number(row['enrolledMs']),
        inventory: readInventory(row['inventory']),
      }),
    }),
    enrolmentTokens: await loadTable(engine, now, ENROLMENT_TOKENS),
    hostTokens: await loadTable(engine, now, HOST_TOKENS),
    sessions: await loadTable<SessionRecord>(engine, now, {
      table: 'sessions',
      key: 'hash',
      encode: (row) => [text('hash', row.hash), count('createdMs', row.createdMs), count('usedMs', row.usedMs)],
      decode: (row) => ({
        hash: String(row['hash']),
        createdMs: Number(row['createdMs']),
        usedMs: Number(row['usedMs']),
      }),
    }),
  };
}

type Row = Readonly<Record<string, unknown>>;
type TableShape<T> = {
  readonly table: string;
  readonly key: keyof T & string;
  readonly encode: (row: T) => Column[];
  readonly decode: (row: Row) => T;
};

const ENROLMENT_TOKENS: TableShape<EnrolmentToken> = {
  table: 'enrolment_tokens',
  key: 'hash',
  encode: (row) => [
    text('hash', row.hash),
    count('createdMs', row.createdMs),
    count('expiresMs', row.expiresMs),
    count('hosts', row.hosts),
    text('machines', JSON.stringify(row.machines)),
    { name: 'revoked', type: 'UInt32', values: [row.isRevoked ? 1 : 0] },
  ],
  decode: (row) => ({
    hash: String(row['hash']),
    createdMs: Number(row['createdMs']),
    expiresMs: Number(row['expiresMs']),
    hosts: Number(row['hosts']),
    machines: readTexts(row['machines']),
    isRevoked: Number(row['revoked']) === 1,
  }),
};

const HOST_TOKENS: TableShape<HostToken> = {
  table: 'host_tokens',
  key: 'hash',
  encode: (row) => [
    text('hash', row.hash),
    text('host', row.host),
    count('createdMs', row.createdMs),
    text('state', row.state),
    count('sinceMs', row.sinceMs),
  ],
  decode: (row) => ({
    hash: String(row['hash']),
    host: String(row['host']),
    createdMs: Number(row['createdMs']),
    state: String(row['state']) as HostToken['state'], // written from one, by this file
    sinceMs: Number(row['sinceMs']),
  }),
};

async function loadTable<T>(engine: Engine, now: () => number, shape: TableShape<T>): Promise<StateTable<T>> {
  const rows = new Map<string, T>();
  let version = 0;
  for (const row of await engine.query(`SELECT * FROM ${DATABASE}.${shape.table} FINAL`)) {
    version = Math.max(version, Number(row['version']));
    if (Number(row['removed']) === 0) rows.set(String(row[shape.key]), shape.decode(row));
  }
  const write = (row: T, removed: 0 | 1): Promise<void> => {
    version = Math.max(version + 1, now());
    return engine.insert(shape.table, 1, [
      ...shape.encode(row),
      count('version', version),
      { name: 'removed', type: 'UInt32', values: [removed] },
    ]);
  };
  let writing: Promise<unknown> = Promise.resolve();
  /** One change after the other, so that none is made of a row that another is about to replace. */
  function inTurn(task: () => Promise<void>): Promise<void> {
    const done = writing.then(task);
    writing = done.catch(() => undefined);
    return done;
  }
  return {
    get: (key) => rows.get(key),
    all: () => rows.values(),
    put: (row) =>
      inTurn(async () => {
        await write(row, 0);
        rows.set(String(row[shape.key]), row);
      }),
    change: (key, step) =>
      inTurn(async () => {
        const row = rows.get(key);
        if (row === undefined) return;
        const next = step(row);
        await write(next, 0);
        if (rows.has(key)) rows.set(key, next); // it may have been removed meanwhile
      }),
    remove(key) {
      const row = rows.get(key);
      rows.delete(key);
      return row === undefined ? Promise.resolve() : inTurn(() => write(row, 1));
    },
  };
}

function text(name: string, value: string): Column {
  return { name, type: 'String', values: [value] };
}

function count(name: string, value: number): Column {
  return { name, type: 'UInt64', values: [value] };
}

function readInventory(value: unknown): Inventory | null {
  const parsed: unknown = JSON.parse(String(value));
  return isRecord(parsed) ? parsed : null; // written from an Inventory, by this file
}

function readTexts(value: unknown): readonly string[] {
  const parsed: unknown = JSON.parse(String(value));
  return Array.isArray(parsed) ? parsed.map(String) : [];
}
