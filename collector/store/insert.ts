import type { ArrivalBlock, EventRow, QuarantineRow } from '../domain/samples.ts';
import type { Column, ColumnType } from './native.ts';
import type { Engine } from './store.ts';

/** What has arrived is inserted in small blocks, thousands of times more often than anything else. */
export const ARRIVALS = 'arrivals';

/**
 * Stores a block of arrivals, all or none of it: samples, and which batches brought them. What comes again collapses when
 * it is compacted (compaction.ts).
 */
export async function insertArrivals(engine: Engine, block: ArrivalBlock, generation: number): Promise<void> {
  if (block.rows > 0) await engine.insert(ARRIVALS, block.rows, listColumns(block, generation));
}

/** Puts a block of the past where the rollups are made of it (history.ts). */
export async function insertHistory(engine: Engine, block: ArrivalBlock): Promise<void> {
  await engine.insert('history_next', block.rows, listColumns(block, 0));
}

function listColumns(block: ArrivalBlock, generation: number): readonly Column[] {
  const { rows, host, about, startS, offsetsMs, metrics, labels, values } = block;
  return [
    { name: 'generation', type: 'UInt64', values: new Float64Array(rows).fill(generation) },
    { name: 'host', type: 'LowCardinality(String)', values: host },
    { name: 'epoch', type: 'UInt64', values: about.epoch },
    { name: 'seq', type: 'UInt64', values: about.seq },
    { name: 'since', type: 'UInt64', values: about.since },
    { name: 'at', type: "DateTime64(3, 'UTC')", values: about.atMs },
    { name: 'everyMs', type: 'UInt32', values: about.everyMs },
    { name: 'samples', type: 'UInt32', values: about.samples },
    { name: 'quarantined', type: 'UInt32', values: about.quarantined },
    { name: 'received', type: "DateTime64(3, 'UTC')", values: about.receivedMs },
    { name: 'isNew', type: 'UInt32', values: about.isNew },
    { name: 'start', type: "DateTime('UTC')", values: startS },
    { name: 'offsetsMs', type: 'Array(UInt32)', ...offsetsMs },
    { name: 'metrics', type: 'Array(LowCardinality(String))', ...metrics },
    { name: 'labels', type: 'Array(LowCardinality(String))', ...labels },
    { name: 'values', type: 'Array(Array(Float64))', ...values },
  ];
}

const NONE = new Float64Array();
const NO_TEXTS = { texts: [], indexes: new Uint32Array(), ends: NONE };
const NO_ARRIVALS: ArrivalBlock = {
  rows: 0,
  samples: 0,
  host: NO_TEXTS,
  about: {
    epoch: NONE,
    since: NONE,
    seq: NONE,
    atMs: NONE,
    everyMs: NONE,
    samples: NONE,
    quarantined: NONE,
    receivedMs: NONE,
    isNew: NONE,
  },
  startS: new Uint32Array(),
  offsetsMs: { ends: NONE, values: new Uint32Array() },
  metrics: { ends: NONE, values: NO_TEXTS },
  labels: { ends: NONE, values: NO_TEXTS },
  values: { ends: NONE, innerEnds: NONE, values: NONE },
};

/** The columns of such a block, for who finds some in a file. */
export const ARRIVAL_COLUMNS: readonly ColumnType[] = listColumns(NO_ARRIVALS, 0);

/** Stores events; writing one again changes nothing. */
export async function insertEvents(engine: Engine, events: readonly EventRow[]): Promise<void> {
  if (events.length === 0) return;
  await engine.insert('events', events.length, [
    { name: 'host', type: 'String', values: events.map(({ host }) => host) },
    { name: 'ts', type: "DateTime64(3, 'UTC')", values: events.map(({ tsMs }) => tsMs) },
    { name: 'kind', type: 'String', values: events.map(({ kind }) => kind) },
    { name: 'body', type: 'String', values: events.map(({ body }) => body) },
  ]);
}

/** Stores what cannot stand among the samples. */
export async function insertQuarantine(engine: Engine, rows: readonly QuarantineRow[]): Promise<void> {
  if (rows.length === 0) return;
  await engine.insert('quarantine', rows.length, [
    { name: 'host', type: 'String', values: rows.map(({ host }) => host) },
    { name: 'metric', type: 'String', values: rows.map(({ metric }) => metric) },
    { name: 'labels', type: 'String', values: rows.map(({ labels }) => labels) },
    { name: 'tickMs', type: 'UInt64', values: rows.map(({ tickMs }) => tickMs) },
    { name: 'value', type: 'Float64', values: rows.map(({ value }) => value) },
    { name: 'reason', type: 'String', values: rows.map(({ reason }) => reason) },
    { name: 'received', type: "DateTime64(3, 'UTC')", values: rows.map(({ receivedMs }) => receivedMs) },
  ]);
}
