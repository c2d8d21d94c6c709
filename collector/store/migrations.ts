import { COMPLETENESS_VIEW, SILENCES_VIEW } from './completeness.ts';
import type { Engine } from './store.ts';

/**
 * The schema, as numbered steps that only add. A step may run twice (two collectors starting at once, a kill in the
 * middle), so each statement is one that says IF NOT EXISTS. A step that has been released is never edited.
 */
export type Migration = { readonly number: number; readonly name: string; readonly statements: readonly string[] };

/** One line of data over time. */
const SERIES = `metric LowCardinality(String) COMMENT 'OpenTelemetry name; units in the catalogue of metrics',
  host LowCardinality(String) COMMENT 'id fixed at enrolment',
  labels LowCardinality(String) COMMENT 'canonical: key=value, sorted, joined by commas'`;

/** Which batch it is, and what is said of it as a whole. */
const BATCH = `epoch UInt64 COMMENT 'the spool' CODEC(ZSTD(1)), seq UInt64 COMMENT 'its last record here' CODEC(DoubleDelta, ZSTD(1)),
  since UInt64 COMMENT 'its first record here' CODEC(DoubleDelta, ZSTD(1)),
  at DateTime64(3, 'UTC') COMMENT 'the newest of ticks; without one, when it arrived' CODEC(DoubleDelta, ZSTD(1)),
  everyMs UInt32 COMMENT 'the interval of the ticks; 0: not said', samples UInt32,
  quarantined UInt32 COMMENT 'samples of it that were set aside',
  received DateTime64(3, 'UTC') COMMENT 'by the clock of the collector' CODEC(DoubleDelta, ZSTD(1))`;

/**
 * Batches as they came, until they are compacted: a row of a batch for each window of five minutes that it has ticks in. In
 * no order and merged late, for they are gone in seconds.
 */
const ARRIVALS = `CREATE TABLE IF NOT EXISTS arrivals (
  generation UInt64 COMMENT 'what is compacted together', host LowCardinality(String), start DateTime('UTC'),
  ${BATCH}, isNew UInt32 COMMENT '1: all its ticks are later than any that was stored of the host before',
  offsetsMs Array(UInt32) COMMENT 'the ticks, counted from start', metrics Array(LowCardinality(String)),
  labels Array(LowCardinality(String)), values Array(Array(Float64)) COMMENT 'of each series, at each tick; NaN: none'
) ENGINE = MergeTree ORDER BY tuple() PARTITION BY generation SETTINGS min_parts_to_merge_at_once = 100`;

const CHUNK_HOURS = 4;
export const CHUNK_PARTITION_MS = CHUNK_HOURS * 3_600_000;
/** The partition of chunks that an instant lies in: a day and an hour. */
export const CHUNK_PARTITION = `toYYYYMMDD(start) * 100 + ${CHUNK_HOURS} * intDiv(toHour(start), ${CHUNK_HOURS})`;

/**
 * The samples: a row is what came of one series in five minutes on the wall clock. Rows of one key are added up by the
 * engine when it merges; no sample is in two of them. The order makes one metric over the fleet, and one metric of one
 * host, short reads; partitions of four hours, what an hour's rollup reads of others.
 */
const CHUNKS = `CREATE TABLE IF NOT EXISTS chunks (
  ${SERIES}, start DateTime('UTC') COMMENT 'of the five minutes' CODEC(DoubleDelta, ZSTD(1)),
  offsetsMs SimpleAggregateFunction(groupArrayArray, Array(UInt32))
    COMMENT 'the ticks, by the clock of the host, counted from start' CODEC(DoubleDelta, ZSTD(1)),
  values SimpleAggregateFunction(groupArrayArray, Array(Float64))
    COMMENT 'gauge: the state; counter: the count, not its rate' CODEC(ALP, ZSTD(1))
) ENGINE = AggregatingMergeTree ORDER BY (metric, host, labels, start)
PARTITION BY ${CHUNK_PARTITION}
TTL start + INTERVAL 30 DAY
SETTINGS ttl_only_drop_parts = 1, index_granularity = 512, allow_experimental_codecs = 1`;

/**
 * The samples of hours that are over: a row for each of chunks, or several where some came late. `first` and `steps` are
 * decimals, whole numbers of which so many `digits` stand after the point.
 */
const makeArchiveTable = (name: string, minParts: number): string => `CREATE TABLE IF NOT EXISTS ${name} (
  ${SERIES}, start DateTime('UTC') COMMENT 'of the five minutes' CODEC(DoubleDelta, ZSTD(1)),
  offsetsMs Array(UInt32) COMMENT 'the ticks, by the clock of the host, counted from start' CODEC(DoubleDelta, ZSTD(1)),
  digits Int8 COMMENT '-1: the values are in plain' CODEC(ZSTD(1)),
  first Int64 COMMENT 'the value at the first tick' CODEC(Delta(8), ZSTD(1)),
  steps Array(Int64) COMMENT 'of the other values, from the one before' CODEC(T64('bit'), ZSTD(1)),
  plain Array(Float64) CODEC(ALP, ZSTD(1))
) ENGINE = MergeTree ORDER BY (metric, host, labels, start) PARTITION BY toYYYYMMDD(start)
TTL start + INTERVAL 30 DAY
SETTINGS ttl_only_drop_parts = 1, index_granularity = 512, allow_experimental_codecs = 1, min_parts_to_merge_at_once = ${minParts}`;

/** The samples of chunks and archive, a row a series and five minutes, or several. */
const STORED_VIEW = `CREATE VIEW IF NOT EXISTS stored AS
  SELECT metric, host, labels, start, offsetsMs, values FROM chunks
  UNION ALL SELECT metric, host, labels, start, offsetsMs, if(digits < 0, plain,
    arrayMap(unit -> unit / intExp10(digits), arrayCumSum(arrayPushFront(steps, first)))) AS values FROM archive`;

/** The samples that are not compacted yet. */
const ARRIVED_VIEW = `CREATE VIEW IF NOT EXISTS arrived_samples AS
  SELECT metric, host, label AS labels, start, ${tickOf('offsetMs')} AS ts, value FROM (
    SELECT metric, host, label, start, offsetsMs, row FROM arrivals
    ARRAY JOIN metrics AS metric, labels AS label, values AS row
  ) ARRAY JOIN offsetsMs AS offsetMs, row AS value WHERE NOT isNaN(value)`;

/** `SELECT avg(value) FROM muster.samples WHERE metric = 'system.uptime' AND host = 'web-1' AND start >= now() - 3600` */
const SAMPLES_VIEW = `CREATE VIEW IF NOT EXISTS samples AS
  SELECT metric, host, labels, start, ${tickOf('offsetMs')} AS ts, value
  FROM stored ARRAY JOIN offsetsMs AS offsetMs, values AS value
  UNION ALL SELECT * FROM arrived_samples`;

/** The batches that are not compacted yet, those with ticks in several windows in as many rows. */
const ARRIVED_BATCHES_VIEW = `CREATE VIEW IF NOT EXISTS arrived_batches AS
  SELECT generation, host, epoch, seq, since, at, everyMs, samples, quarantined, received,
    arrayMap(offsetMs -> ${tickOf('offsetMs')}, offsetsMs) AS ticks FROM arrivals`;

function tickOf(offsetMs: string): string {
  return `fromUnixTimestamp64Milli(1000 * toUnixTimestamp(start) + ${offsetMs}, 'UTC')`;
}

function makeRollupTable(name: string, period: string, partition: string, days: number): string {
  return `CREATE TABLE IF NOT EXISTS ${name} (
    ${SERIES}, ts DateTime('UTC') COMMENT 'start of the ${period}' CODEC(DoubleDelta, ZSTD(1)),
    samples UInt32, min Float64 CODEC(ALP, ZSTD(1)), max Float64 CODEC(ALP, ZSTD(1)), avg Float64 CODEC(ZSTD(1)),
    median Float64 CODEC(ALP, ZSTD(1)), stddev Float64 CODEC(ZSTD(1)), last Float64 CODEC(ALP, ZSTD(1)),
    lastTs DateTime64(3, 'UTC') COMMENT 'the tick of last: a rate is the rise of last over the distance of these'
      CODEC(DoubleDelta, ZSTD(1)),
    version UInt64 COMMENT 'of two rows with one key the later counts' CODEC(DoubleDelta, ZSTD(1))
  ) ENGINE = ReplacingMergeTree(version) ORDER BY (metric, host, labels, ts) PARTITION BY ${partition}
  TTL ts + INTERVAL ${days} DAY SETTINGS ttl_only_drop_parts = 1, allow_experimental_codecs = 1`;
}

/**
 * What was before the first sample of a host, told afterwards: one value in five minutes at most, which are what those come
 * to. A row is what was told of one series at once; told again, the later counts. `history_next`: what is being told.
 */
const HISTORY = `CREATE TABLE IF NOT EXISTS history (
  ${SERIES}, ts DateTime('UTC') COMMENT 'the second of the first tick' CODEC(DoubleDelta, ZSTD(1)),
  offsetsMs Array(UInt32) COMMENT 'the ticks, counted from ts' CODEC(DoubleDelta, ZSTD(1)),
  values Array(Float64) COMMENT 'gauge: the state; counter: the count, not its rate' CODEC(ALP, ZSTD(1))
) ENGINE = ReplacingMergeTree ORDER BY (metric, host, labels, ts) PARTITION BY toYYYYMM(ts)
TTL ts + INTERVAL 90 DAY SETTINGS ttl_only_drop_parts = 1, index_granularity = 512, allow_experimental_codecs = 1`;

const STATE = 'version UInt64, removed UInt32 DEFAULT 0';

export const MIGRATIONS: readonly Migration[] = [
  {
    number: 1,
    name: 'samples, rollups, events, state',
    statements: [
      ARRIVALS,
      CHUNKS,
      // What is compacted, whole, before it is put among the others at once.
      `CREATE TABLE IF NOT EXISTS chunks_next AS chunks`,
      makeArchiveTable('archive', 0),
      // Not merged: by its parts one sees whether they are in the archive.
      makeArchiveTable('archive_next', 10_000),
      ARRIVED_VIEW,
      STORED_VIEW,
      SAMPLES_VIEW,
      makeRollupTable('rollup_5m', '5 minutes', 'toYYYYMM(ts)', 90),
      makeRollupTable('rollup_1h', 'hour', 'toYYYYMM(ts)', 365),
      makeRollupTable('rollup_1d', 'day', 'toYear(ts)', 365),
      // The hours and days that have samples of a host which their rollup has not seen yet; done says that it has.
      `CREATE TABLE IF NOT EXISTS rollup_due (
        tier LowCardinality(String), start DateTime('UTC'), host LowCardinality(String), done UInt32, version UInt64
      ) ENGINE = ReplacingMergeTree(version) ORDER BY (tier, start, host) TTL start + INTERVAL 60 DAY`,
      `CREATE TABLE IF NOT EXISTS events (
        host LowCardinality(String), ts DateTime64(3, 'UTC'), kind LowCardinality(String), body String COMMENT 'JSON'
      ) ENGINE = ReplacingMergeTree ORDER BY (host, ts, kind, body) PARTITION BY toYYYYMM(ts)
      TTL toDateTime(ts) + INTERVAL 365 DAY`,
      `CREATE TABLE IF NOT EXISTS hosts (
        host String, name String, machine String COMMENT 'hash of the machine id', enrolledMs UInt64,
        inventory String COMMENT 'JSON', ${STATE}
      ) ENGINE = ReplacingMergeTree(version) ORDER BY host`,
      `CREATE TABLE IF NOT EXISTS host_tokens (
        hash String COMMENT 'SHA-256 of the token, hex', host String, createdMs UInt64, ${STATE}
      ) ENGINE = ReplacingMergeTree(version) ORDER BY hash`,
      `CREATE TABLE IF NOT EXISTS sessions (
        hash String COMMENT 'SHA-256 of the session id, hex', createdMs UInt64, usedMs UInt64, ${STATE}
      ) ENGINE = ReplacingMergeTree(version) ORDER BY hash`,
    ],
  },
  {
    number: 2,
    name: 'enrolment tokens, states of host tokens',
    statements: [
      `CREATE TABLE IF NOT EXISTS enrolment_tokens (
        hash String COMMENT 'SHA-256 of the token, hex', createdMs UInt64, expiresMs UInt64,
        hosts UInt64 COMMENT 'how many may join', machines String COMMENT 'JSON: those that did', revoked UInt32, ${STATE}
      ) ENGINE = ReplacingMergeTree(version) ORDER BY hash`,
      `ALTER TABLE host_tokens
        ADD COLUMN IF NOT EXISTS state String DEFAULT 'live' COMMENT 'live, quarantined, revoked or replaced',
        ADD COLUMN IF NOT EXISTS sinceMs UInt64 DEFAULT createdMs COMMENT 'of the state'`,
    ],
  },
  {
    number: 3,
    name: 'batches, quarantine, completeness',
    statements: [
      // One row a batch. The same records may come again joined in another way: then they are other rows, and whoever
      // counts, counts distinct records and ticks. `since` is part of the key, or the longer of two would be forgotten; and
      // `at`, or those whose numbers come a second time, from a machine that was set back to an earlier state of its disk.
      `CREATE TABLE IF NOT EXISTS batches (
        host LowCardinality(String), ${BATCH},
        ticks Array(DateTime64(3, 'UTC')) COMMENT 'those in time, by the clock of the host' CODEC(Delta, ZSTD(1))
      ) ENGINE = ReplacingMergeTree ORDER BY (host, epoch, seq, since, at) PARTITION BY toYYYYMMDD(at)
      TTL toDateTime(at) + INTERVAL 30 DAY SETTINGS ttl_only_drop_parts = 1`,
      // By the collector's clock, so that no clock of a host opens a partition. Text as it is: nobody reads it often.
      `CREATE TABLE IF NOT EXISTS quarantine (
        metric LowCardinality(String), host LowCardinality(String), labels String,
        tickMs Int64 COMMENT 'as the host said, Unix milliseconds', value Float64,
        reason LowCardinality(String) COMMENT 'future, past: out of time; range: the metric cannot have this value',
        received DateTime64(3, 'UTC')
      ) ENGINE = ReplacingMergeTree ORDER BY (host, metric, labels, tickMs, reason) PARTITION BY toYYYYMMDD(received)
      TTL toDateTime(received) + INTERVAL 7 DAY SETTINGS ttl_only_drop_parts = 1`,
      ARRIVED_BATCHES_VIEW,
      SILENCES_VIEW,
      COMPLETENESS_VIEW,
    ],
  },
  {
    number: 4,
    name: 'custom metrics',
    statements: [
      `CREATE TABLE IF NOT EXISTS metrics (
        metric String COMMENT 'the name of one that is not in the catalogue', kind String COMMENT 'gauge or counter',
        unit String COMMENT 'UCUM; empty: nobody said', ${STATE}
      ) ENGINE = ReplacingMergeTree(version) ORDER BY metric`,
    ],
  },
  { number: 5, name: 'history', statements: [HISTORY, 'CREATE TABLE IF NOT EXISTS history_next AS arrivals'] },
];

/**
 * Brings the schema up to date. Refuses a database that a newer Muster has written. `ensureRoom` is asked before anything
 * is changed, and throws when the disk has none.
 */
export async function migrate(engine: Engine, ensureRoom: () => Promise<void> = async () => undefined): Promise<void> {
  await engine.command(
    `CREATE TABLE IF NOT EXISTS migrations (number UInt32, name String, at DateTime DEFAULT now())
     ENGINE = ReplacingMergeTree ORDER BY number`,
  );
  const old = await engine.query(
    `SELECT 1 FROM system.tables WHERE database = currentDatabase() AND name = 'samples' AND engine != 'View'
     UNION ALL
     SELECT 1 FROM system.tables WHERE database = currentDatabase() HAVING countIf(name = 'arrivals') > 0 AND countIf(name = 'archive') = 0`,
  );
  if (old.length > 0) {
    throw new Error(
      'Cannot open the store: a Muster from before the first release has written it, in another form; delete that store, or choose another with --data or --store-url',
    );
  }
  const rows = await engine.query(`SELECT toUInt32(max(number)) AS newest FROM migrations`);
  const newest = Number(rows[0]?.['newest'] ?? 0);
  const known = MIGRATIONS.at(-1)?.number ?? 0;
  if (newest > known) {
    throw new Error(
      `Cannot open the store: its schema is version ${newest}, this Muster knows up to ${known}; install the newer Muster again`,
    );
  }
  for (const { number, name, statements } of MIGRATIONS) {
    if (number <= newest) continue;
    await ensureRoom();
    for (const statement of statements) await engine.command(statement);
    await engine.insert('migrations', 1, [
      { name: 'number', type: 'UInt32', values: [number] },
      { name: 'name', type: 'String', values: [name] },
    ]);
  }
}

/** Writes what says nothing, to find out whether the store takes anything; throws when it does not. */
export function probe(engine: Engine): Promise<void> {
  return engine.insert('migrations', 1, [{ name: 'number', type: 'UInt32', values: [0] }]);
}
