import { CHUNK_PARTITION, CHUNK_PARTITION_MS } from './migrations.ts';
import { listPartitions, type Engine } from './store.ts';

/**
 * The archive: chunks of hours that are over, where they take half the room and are read in less time. A value is a
 * decimal there, told by its difference to the one before; a chunk whose values are none of few digits keeps them as they
 * are, so that each comes back bit by bit. What arrives late for those hours is among the chunks until it follows.
 */
export type Archive = {
  /** Moves a partition of chunks that is due; false: there is none. Not while anything is compacted. */
  readonly moveNext: () => Promise<boolean>;
  /** Does again what could not be done to its end: until then a part may be read twice. Call it before what counts. */
  readonly finish: () => Promise<void>;
};

export type ArchiveOptions = {
  readonly now: () => number;
  /** Waited for between what is there and what it takes the place of: where power may be lost, it puts it on the disk. */
  readonly sync?: () => Promise<void>;
};

/** How long a partition is left alone after its end: by then what was on its way has mostly arrived. */
const ARCHIVE_AFTER_MS = 3_600_000;

/** Finishes what a kill has left: before anything is read or compacted. */
export async function openArchive(engine: Engine, { now, sync }: ArchiveOptions): Promise<Archive> {
  let isLeft = true;

  async function move(id: string): Promise<void> {
    await engine.command('TRUNCATE TABLE archive_next');
    await fill(engine, id);
    const days = await listPartitions(engine, 'archive_next');
    isLeft = true;
    await engine.swap(async (command) => {
      for (const day of days) await command(`ALTER TABLE archive ATTACH PARTITION ID '${day}' FROM archive_next`);
      await sync?.();
      await command(`ALTER TABLE chunks DROP PARTITION ID '${id}'`);
    });
    await engine.command('TRUNCATE TABLE archive_next');
    isLeft = false;
  }

  async function finish(): Promise<void> {
    if (!isLeft) return;
    const [begun] = await engine.query(`SELECT toString(${CHUNK_PARTITION}) AS id FROM archive_next LIMIT 1`);
    // Where nothing of those hours is archived, the chunks are there still, and nothing else.
    if (begun !== undefined && (await isArchived(engine, String(begun['id'])))) await move(String(begun['id']));
    isLeft = false;
  }

  await finish();
  return {
    finish,
    async moveNext() {
      await finish();
      const isDue = (id: string): boolean => endOf(id) + ARCHIVE_AFTER_MS <= now();
      const id = (await listPartitions(engine, 'chunks')).find(isDue);
      if (id !== undefined) await move(id);
      return id !== undefined;
    },
  };
}

/** The end of a partition of chunks, Unix ms, by its id: the day and the hour. */
function endOf(id: string): number {
  const [, year = '', month = '', day = '', hour = ''] = /^(\d{4})(\d\d)(\d\d)(\d\d)$/.exec(id) ?? [];
  return Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hour)) + CHUNK_PARTITION_MS;
}

/** That an instant lies in the hours of a partition of chunks. */
function isThen(id: string): string {
  const endS = endOf(id) / 1000;
  return `start >= toDateTime(${endS - CHUNK_PARTITION_MS / 1000}) AND start < toDateTime(${endS})`;
}

/** Whether the archive holds anything of them. */
async function isArchived(engine: Engine, id: string): Promise<boolean> {
  return (await engine.query(`SELECT 1 FROM archive WHERE ${isThen(id)} LIMIT 1`)).length > 0;
}

/** What a statement computes from where it must hold it all in memory: 60 bytes a sample. */
const SLICE_SAMPLES = 5_000_000;

/** Makes the rows that follow from a partition of chunks: one of each key, by time, without what is archived already. */
async function fill(engine: Engine, id: string): Promise<void> {
  if (!(await isArchived(engine, id))) {
    await engine.command(formatFill(selectFirst(id)));
    return;
  }
  const [held] = await engine.query(
    `SELECT sum(length(offsetsMs)) AS samples FROM chunks WHERE _partition_id = '${id}'`,
  );
  const slices = Math.ceil(Number(held?.['samples']) / SLICE_SAMPLES);
  for (let slice = 0; slice < slices; slice += 1) {
    const isOfSlice = `sipHash64(metric, host, labels) % ${slices} = ${slice}`;
    await engine.command(formatFill(selectLate(id, isOfSlice)));
  }
}

/** All of a partition of chunks, in their order, so that little of it is in memory at a time. */
const selectFirst = (id: string): string => `SELECT metric, host, labels, start,
    groupArrayArray(offsetsMs) AS came, arraySort(came) AS offsets,
    arraySort((value, offset) -> offset, groupArrayArray(values), came) AS row
  FROM chunks WHERE _partition_id = '${id}' GROUP BY metric, host, labels, start`;

/** What has come since those hours were archived, and after a kill perhaps nothing. */
const selectLate = (id: string, isOfSlice: string): string => `SELECT metric, host, labels, start,
    groupArrayArrayIf(of, NOT isKnown) AS came, groupArrayArrayIf(of, isKnown) AS known,
    arrayFilter(offset -> NOT has(known, offset), came) AS new, arraySort(new) AS offsets,
    arraySort((value, offset) -> offset,
      arrayFilter((value, offset) -> NOT has(known, offset), groupArrayArrayIf(one, NOT isKnown), came), new) AS row
  FROM (
    SELECT metric, host, labels, start, offsetsMs AS of, values AS one, false AS isKnown
    FROM chunks WHERE _partition_id = '${id}' AND ${isOfSlice}
    UNION ALL
    SELECT metric, host, labels, start, offsetsMs, CAST([], 'Array(Float64)'), true FROM archive
    WHERE ${isThen(id)} AND ${isOfSlice} AND (host, start) IN (SELECT DISTINCT host, start FROM chunks WHERE _partition_id = '${id}')
  ) GROUP BY metric, host, labels, start`;

const DIGITS_MAX = 6;
/** Whole numbers, and their differences, are exact below this. */
const UNITS_MAX = 2 ** 53;

/** Whether so many digits after the point tell a value exactly. Zero with a sign is no decimal. */
function tells(digits: number): string {
  const units = `v * ${10 ** digits}`;
  return `abs(${units}) < ${UNITS_MAX} AND round(${units}) / ${10 ** digits} = v AND (v != 0 OR 1 / v > 0)`;
}

/** The fewest digits that tell all of `row`; -1 where none do. */
const DIGITS = `multiIf(${Array.from(
  { length: DIGITS_MAX + 1 },
  (_, digits) => `arrayAll(v -> ${tells(digits)}, row), ${digits}`,
).join(', ')}, -1)`;

/** Small blocks: each holds its arrays in all the forms that they pass through. */
const formatFill = (
  source: string,
): string => `INSERT INTO archive_next (metric, host, labels, start, offsetsMs, digits, first, steps, plain)
  SELECT metric, host, labels, start, offsets, digits, if(digits < 0, 0, units[1]),
    if(digits < 0, [], arrayPopFront(arrayDifference(units))), if(digits < 0, row, [])
  FROM (
    SELECT metric, host, labels, start, offsets, row, ${DIGITS} AS digits,
      arrayMap(v -> toInt64(if(digits < 0, 0, round(v * intExp10(digits)))), row) AS units
    FROM (${source}) WHERE notEmpty(offsets)
  )
  SETTINGS max_threads = 1, max_insert_threads = 1, max_block_size = 8192, optimize_aggregation_in_order = 1,
    aggregation_in_order_max_block_bytes = 4194304, min_insert_block_size_bytes = 67108864`;
