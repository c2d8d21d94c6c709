import { CHUNK_PARTITION, CHUNK_PARTITION_MS } from './migrations.ts';
import { listPartitions, type Engine } from './store.ts';

/**
 * The archive: chunks of hours that are over, where they take half the room. A value is a decimal there, told by its
 * difference to the one before; a chunk whose values are none of few digits keeps them as they are, so that each comes back
 * bit by bit. What arrives late for those hours is among the chunks until it follows.
 */
export type Archive = {
  /** Moves a partition of chunks that is due; false: there is none, or it is not done. `closing` ends it early. */
  readonly moveNext: (closing?: AbortSignal) => Promise<boolean>;
  /** Does again what could not be done to its end: until then a part may be read twice. */
  readonly finish: () => Promise<void>;
};

export type ArchiveOptions = {
  readonly now: () => number;
  /** Runs a task while nothing is compacted, which adds chunks. By default nothing is. */
  readonly between?: <T>(task: () => Promise<T>) => Promise<T>;
  /** Waited for between what is there and what it takes the place of: where power may be lost, it puts it on the disk. */
  readonly sync?: () => Promise<void>;
};

/** How long a partition is left alone after its end: by then what was on its way has mostly arrived. */
const ARCHIVE_AFTER_MS = 3_600_000;

/**
 * Finishes what a kill has left: before anything is read or compacted.
 *
 * What is made of a partition may take long, and goes on beside all else. It takes the place of the chunks at once, and
 * only if nothing was added to them meanwhile, nor dropped.
 */
export async function openArchive(
  engine: Engine,
  { now, between = (task) => task(), sync }: ArchiveOptions,
): Promise<Archive> {
  let isLeft = true;

  async function swap(id: string): Promise<void> {
    const days = await listPartitions(engine, 'archive_next');
    isLeft = true;
    await engine.swap(async (command) => {
      for (const day of days) await command(`ALTER TABLE archive ATTACH PARTITION ID '${day}' FROM archive_next`);
      await sync?.();
      await command(`ALTER TABLE chunks DROP PARTITION ID '${id}'`);
    });
    isLeft = false;
    await engine.command('TRUNCATE TABLE archive_next');
  }

  async function finish(): Promise<void> {
    if (!isLeft) return;
    const [begun] = await engine.query(`SELECT toString(${CHUNK_PARTITION}) AS id FROM archive_next LIMIT 1`);
    const id = String(begun?.['id']);
    if (begun !== undefined && (await isAttached(engine, id))) {
      await fill(engine, id);
      await swap(id);
    }
    isLeft = false;
  }

  /** The newest part of a partition, also after merges; null: there is none. */
  async function readNewestPart(id: string): Promise<unknown> {
    const [row] = await engine.query(
      `SELECT max(max_block_number) AS block FROM system.parts WHERE database = currentDatabase() AND table = 'chunks'
       AND active AND partition_id = '${id}' HAVING count() > 0`,
    );
    return row?.['block'] ?? null;
  }

  await finish();
  return {
    finish,
    async moveNext(closing) {
      await between(finish);
      const id = (await listMovable(engine)).find((one) => endOf(one) + ARCHIVE_AFTER_MS <= now());
      if (id === undefined) return false;
      const newest = await readNewestPart(id);
      try {
        if (!(await fill(engine, id, closing))) return false;
      } catch (cause) {
        await engine.command('TRUNCATE TABLE archive_next').catch(() => undefined); // what is at fault is told
        throw cause;
      }
      return between(async () => {
        if (newest === null || (await readNewestPart(id)) !== newest) return false;
        await swap(id);
        return true;
      });
    },
  };
}

/** The partitions of chunks that there is room to move: what is made of one is never larger. */
async function listMovable(engine: Engine): Promise<readonly string[]> {
  const rows = await engine.query(
    `SELECT partition_id AS id FROM system.parts
     WHERE database = currentDatabase() AND table = 'chunks' AND active AND rows > 0
     GROUP BY id HAVING 2 * sum(bytes_on_disk) < (SELECT min(unreserved_space) FROM system.disks) ORDER BY id`,
  );
  return rows.map(({ id }) => String(id));
}

/** Whether what was made of a partition is in the archive: a part is there whole, or not at all. */
async function isAttached(engine: Engine, id: string): Promise<boolean> {
  const key = 'metric, host, labels, start, offsetsMs';
  const rows = await engine.query(
    `SELECT 1 FROM archive WHERE ${isThen(id)} AND (${key}) IN (SELECT ${key} FROM archive_next LIMIT 1 BY _part) LIMIT 1`,
  );
  return rows.length > 0;
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

/** What a statement computes from. Where it must hold it all in memory, that takes 60 bytes a sample. */
const SLICE_SAMPLES = 5_000_000;
/** Each leaves a part, of which the engine takes some thousands. */
const SLICES_MAX = 200;

/**
 * Makes the rows that follow from a partition of chunks: one of each key, by time, without what is archived already. In
 * slices, so that others have their turn and a stop need not wait long; false: it was ended between two.
 */
async function fill(engine: Engine, id: string, closing?: AbortSignal): Promise<boolean> {
  await engine.command('TRUNCATE TABLE archive_next');
  const metrics = await engine.query(
    `SELECT hex(metric) AS name, sum(length(offsetsMs)) AS samples FROM chunks WHERE _partition_id = '${id}'
     GROUP BY metric ORDER BY metric`,
  );
  const total = metrics.reduce((sum, { samples }) => sum + Number(samples), 0);
  const count = Math.min(SLICES_MAX, Math.ceil(total / SLICE_SAMPLES));
  const [found] = await engine.query(`SELECT 1 FROM archive WHERE ${isThen(id)} LIMIT 1`);
  const sources =
    found === undefined
      ? sliceMetrics(metrics, total / count).map((isOfSlice) => selectFirst(id, isOfSlice))
      : Array.from({ length: count }, (_, slice) =>
          selectLate(id, `sipHash64(metric, host, labels) % ${count} = ${slice}`),
        );
  for (const source of sources) {
    if (closing?.aborted === true) return false;
    await engine.command(formatFill(source));
  }
  return true;
}

/** Conditions that name metrics, each neighbours that have about so many samples together. In hexadecimal, as hosts are. */
function sliceMetrics(metrics: readonly Record<string, unknown>[], samplesMax: number): readonly string[] {
  const slices: string[][] = [];
  let left = 0;
  for (const { name, samples } of metrics) {
    if (left <= 0) {
      slices.push([]);
      left = samplesMax;
    }
    slices.at(-1)?.push(`unhex('${String(name)}')`);
    left -= Number(samples);
  }
  return slices.map((names) => `metric IN (${names.join(', ')})`);
}

/** What a partition of chunks holds, in their order, so that little of it is in memory at a time. */
const selectFirst = (id: string, isOfSlice: string): string => `SELECT metric, host, labels, start,
    groupArrayArray(offsetsMs) AS came, arraySort(came) AS offsets,
    arraySort((value, offset) -> offset, groupArrayArray(values), came) AS row
  FROM chunks WHERE _partition_id = '${id}' AND ${isOfSlice} GROUP BY metric, host, labels, start`;

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
