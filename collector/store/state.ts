import type { Inventory } from '@muster/proto/batch';
import type { MetricKind } from '@muster/proto/metric';

import type { Column } from './native.ts';
import type { Engine } from './store.ts';
import { makeGroups } from './turns.ts';

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
  readonly revoked: boolean;
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

/** What a metric is that is not in the catalogue, as a host described it first. */
export type MetricRecord = { readonly metric: string; readonly kind: MetricKind; readonly unit: string };

/**
 * A small table that is read into memory once and written through: each change is a new version of a row, the newest
 * counts, a removal is a version too. Changes that come while one is being stored are stored together, in their order.
 */
export type StateTable<T> = {
  get(key: string): T | undefined;
  all(): Iterable<T>;
  /** Resolves when it is stored; `get` gives it from then on. */
  put(row: T): Promise<void>;
  /** The same of several, in one block. */
  putAll(rows: readonly T[]): Promise<void>;
  /** Puts what `step` makes of the row as it is when its turn comes; nothing when it is gone by then, or stays. */
  change(key: string, step: (row: T) => T): Promise<void>;
  /** `get` no longer gives the row from now on, unless storing that fails; resolves when it is stored. */
  remove(key: string): Promise<void>;
  /** The same of several, in one block. */
  removeAll(keys: readonly string[]): Promise<void>;
};

export type State = {
  readonly hosts: StateTable<HostRecord>;
  readonly enrolmentTokens: StateTable<EnrolmentToken>;
  readonly hostTokens: StateTable<HostToken>;
  readonly sessions: StateTable<SessionRecord>;
  readonly metrics: StateTable<MetricRecord>;
};

/** Reads all state. `now` gives the versions, which rise even when the clock does not. */
export async function loadState(engine: Engine, now: () => number): Promise<State> {
  return {
    hosts: await loadTable(engine, now, HOSTS),
    enrolmentTokens: await loadTable(engine, now, ENROLMENT_TOKENS),
    hostTokens: await loadTable(engine, now, HOST_TOKENS),
    sessions: await loadTable(engine, now, SESSIONS),
    metrics: await loadTable(engine, now, METRICS),
  };
}

/** How a field of a row is kept, in the column of its name. What is read was written by this file. */
type Field<T> = {
  readonly encode: (name: string, values: readonly T[]) => Column;
  readonly decode: (value: unknown) => T;
};
type Fields<T> = { readonly [K in keyof T]: Field<T[K]> };
type TableShape<T> = { readonly table: string; readonly key: keyof T & string; readonly fields: Fields<T> };

const TEXT: Field<string> = { encode: text, decode: String };
const COUNT: Field<number> = { encode: count, decode: Number };
const FLAG: Field<boolean> = {
  encode: (name, values) => ({ name, type: 'UInt32', values: values.map(Number) }),
  decode: (value) => Number(value) === 1,
};

const HOSTS: TableShape<HostRecord> = {
  table: 'hosts',
  key: 'host',
  fields: { host: TEXT, name: TEXT, machine: TEXT, enrolledMs: COUNT, inventory: json<Inventory | null>() },
};

const ENROLMENT_TOKENS: TableShape<EnrolmentToken> = {
  table: 'enrolment_tokens',
  key: 'hash',
  fields: {
    hash: TEXT,
    createdMs: COUNT,
    expiresMs: COUNT,
    hosts: COUNT,
    machines: json<readonly string[]>(),
    revoked: FLAG,
  },
};

const HOST_TOKENS: TableShape<HostToken> = {
  table: 'host_tokens',
  key: 'hash',
  fields: {
    hash: TEXT,
    host: TEXT,
    createdMs: COUNT,
    state: { encode: text, decode: (value) => value as HostToken['state'] },
    sinceMs: COUNT,
  },
};

const SESSIONS: TableShape<SessionRecord> = {
  table: 'sessions',
  key: 'hash',
  fields: { hash: TEXT, createdMs: COUNT, usedMs: COUNT },
};

const METRICS: TableShape<MetricRecord> = {
  table: 'metrics',
  key: 'metric',
  fields: {
    metric: TEXT,
    kind: { encode: text, decode: (value) => (value === 'counter' ? 'counter' : 'gauge') },
    unit: TEXT,
  },
};

async function loadTable<T>(engine: Engine, now: () => number, shape: TableShape<T>): Promise<StateTable<T>> {
  const rows = new Map<string, T>();
  const names = Object.keys(shape.fields) as (keyof T & string)[]; // the type says that it has no others
  const decode = (row: Record<string, unknown>): T =>
    Object.fromEntries(names.map((name) => [name, shape.fields[name].decode(row[name])])) as T;
  let version = 0;
  for (const row of await engine.query(`SELECT * FROM ${shape.table} FINAL`)) {
    version = Math.max(version, Number(row['version']));
    if (Number(row['removed']) === 0) rows.set(String(row[shape.key]), decode(row));
  }
  const insert = (changed: readonly Version<T>[]): Promise<void> => {
    version = Math.max(version + 1, now());
    return engine.insert(shape.table, changed.length, [
      ...names.map((name) => {
        const values = changed.map(({ row }) => row[name]);
        return shape.fields[name].encode(name, values);
      }),
      { name: 'version', type: 'UInt64', values: changed.map(() => version) },
      { name: 'removed', type: 'UInt32', values: changed.map(({ isRemoved }) => Number(isRemoved)) },
    ]);
  };
  /** Each change is made of the rows as those before it leave them, in this group or an earlier one. */
  const change = makeGroups<Change<T>>(async (group) => {
    const changed = new Map<string, Version<T>>();
    const find = (key: string): T | undefined => {
      const made = changed.get(key);
      if (made === undefined) return rows.get(key);
      return made.isRemoved ? undefined : made.row;
    };
    for (const plan of group) for (const made of plan(find)) changed.set(String(made.row[shape.key]), made);
    if (changed.size === 0) return;
    await insert([...changed.values()]);
    for (const [key, { row, isRemoved }] of changed) {
      if (isRemoved) rows.delete(key);
      else rows.set(key, row);
    }
  });
  /** Rows that nobody is to see any more, until their removal is stored, or has failed. */
  const leaving = new Set<string>();
  const get = (key: string): T | undefined => (leaving.has(key) ? undefined : rows.get(key));
  const removeAll = async (keys: readonly string[]): Promise<void> => {
    const found = keys.filter((key) => get(key) !== undefined);
    for (const key of found) leaving.add(key);
    try {
      await change((find) =>
        found.flatMap((key) => {
          const row = find(key);
          return row === undefined ? [] : { row, isRemoved: true };
        }),
      );
    } finally {
      for (const key of found) leaving.delete(key);
    }
  };
  const putAll = (all: readonly T[]): Promise<void> => change(() => all.map((row) => ({ row, isRemoved: false })));
  return {
    get,
    all: () => (leaving.size === 0 ? rows.values() : [...rows].flatMap(([key, row]) => (leaving.has(key) ? [] : row))),
    put: (row) => putAll([row]),
    putAll,
    change: (key, step) =>
      change((find) => {
        const row = find(key);
        const next = row === undefined ? undefined : step(row);
        return next === undefined || next === row ? [] : [{ row: next, isRemoved: false }];
      }),
    remove: (key) => removeAll([key]),
    removeAll,
  };
}

type Version<T> = { readonly row: T; readonly isRemoved: boolean };
/** What becomes of rows, given how they are then. */
type Change<T> = (find: (key: string) => T | undefined) => readonly Version<T>[];

function text(name: string, values: readonly string[]): Column {
  return { name, type: 'String', values };
}

function count(name: string, values: readonly number[]): Column {
  return { name, type: 'UInt64', values };
}

function json<T>(): Field<T> {
  return {
    encode(name, values) {
      const texts = values.map((value) => JSON.stringify(value));
      return text(name, texts);
    },
    decode: (value) => JSON.parse(String(value)) as T,
  };
}
