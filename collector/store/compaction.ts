import { writeRollup5m, type Versions } from './rollup.ts';
import { listPartitions, type Engine } from './store.ts';
import { makeTurns } from './turns.ts';

/**
 * Puts what has arrived among the chunks: what comes in the order of hosts and time goes out in the order of series. A
 * sample that is there already is left out, so that nothing is there twice, however often it came.
 *
 * What is compacted together is a generation. Its chunks are made whole in a table of their own, and take the place of
 * the generation while nobody reads. After a kill at any moment it is done again, and finds its samples there or not.
 */
export type Compaction = {
  /** Whether far more has arrived than was compacted, while that goes on: nothing more should come for now. */
  readonly isBehind: () => boolean;
  /** The generation that a commit of so many samples belongs to, which is not compacted before `release` is called. */
  readonly hold: (samples: number) => Held;
  /** Compacts all that has arrived until now, or as much of it as until `closing`. */
  readonly run: (closing?: AbortSignal) => Promise<void>;
  /** Runs a task while nothing is being compacted. */
  readonly between: <T>(task: () => Promise<T>) => Promise<T>;
};

export type Held = { readonly generation: number; readonly release: () => void };

/** What is compacted at once is held in memory: about 60 bytes a sample. A generation begins when the one before has so many. */
const GENERATION_SAMPLES = 6_000_000;

/** What may wait: half a gigabyte on the disk, which who reads the last minutes reads as well. */
const WAITING_SAMPLES_MAX = 60_000_000;

export type CompactionOptions = {
  /** Called when as much has arrived as should be compacted at once. */
  readonly onFull?: () => void;
  /** Waited for before each run: no sample must be there twice, or a rollup would count it so. */
  readonly prepare?: () => Promise<void>;
  /**
   * Waited for after the chunks are attached and before their generation is dropped: where power may be lost, it puts them on
   * the disk.
   */
  readonly syncChunks?: () => Promise<void>;
};

/** What a kill has left is compacted first: until then a part of it may be read twice. */
export async function openCompaction(
  engine: Engine,
  versions: Versions,
  { onFull = () => undefined, prepare, syncChunks }: CompactionOptions = {},
): Promise<Compaction> {
  const inTurn = makeTurns();
  const generations = makeGenerations(versions, onFull);
  /** What a run that failed has made, or has yet to follow. */
  let isLeft = true;
  /** What was tried before, or was begun by a process before, may be among the chunks already, new or not. */
  let lastTried = 0;
  let isOpen = false;

  async function compact(one: number): Promise<void> {
    isLeft = true;
    const isFirst = isOpen && one > lastTried;
    lastTried = Math.max(lastTried, one);
    await engine.command(makeChunks(one, isFirst ? 'AND NOT isNew' : ''));
    await engine.command(noteBatches(one));
    const partitions = await listPartitions(engine, 'chunks_next');
    await engine.swap(async (command) => {
      for (const id of partitions) await command(`ALTER TABLE chunks ATTACH PARTITION ID '${id}' FROM chunks_next`);
      await syncChunks?.();
      await command(`ALTER TABLE arrivals DROP PARTITION ${one}`);
    });
    await finish();
  }

  /** What follows from chunks that are there: they may have been there before a kill. */
  async function finish(): Promise<void> {
    await writeRollup5m(engine, versions.next());
    await engine.command(`TRUNCATE TABLE chunks_next`);
    isLeft = false;
  }

  async function run(closing?: AbortSignal): Promise<void> {
    // Else its chunks would stand there twice, and be attached so.
    if (isLeft) await finish();
    const before = generations.begin();
    await generations.released(before);
    await engine.flush(); // what waited still would come to a generation that is about to be dropped
    for (const id of (await listPartitions(engine, 'arrivals')).map(Number)) {
      if (id > before && isOpen) continue; // it has begun meanwhile
      if (closing?.aborted === true) return;
      await compact(id);
      generations.end(id);
    }
    generations.end(before); // also those of which no commit came about
    lastTried = Math.max(lastTried, before);
  }

  await run();
  isOpen = true;
  let isRunning = false;
  return {
    isBehind: () => isRunning && generations.countWaiting() > WAITING_SAMPLES_MAX,
    hold: generations.hold,
    run: (closing) =>
      inTurn(async () => {
        isRunning = true;
        try {
          await prepare?.();
          await run(closing);
        } finally {
          isRunning = false;
        }
      }),
    between: inTurn,
  };
}

/** Numbers the generations, and knows which commits are under way in each. */
function makeGenerations(versions: Versions, onFull: () => void) {
  const holders = new Map<number, Set<Promise<void>>>();
  let generation = versions.next();
  /** Of those that are not compacted yet. */
  const samples = new Map<number, number>();

  /** From here on commits belong to another; gives the one before. */
  function begin(): number {
    const before = generation;
    generation = versions.next();
    return before;
  }

  return {
    begin,
    /** It is compacted, and so are those before. */
    end(one: number): void {
      for (const each of samples.keys()) if (each <= one) samples.delete(each);
    },
    countWaiting: (): number => [...samples.values()].reduce((sum, count) => sum + count, 0),
    /** Waits for the commits that belong to it, and to those before. */
    released: async (one: number): Promise<void> => {
      for (const [each, held] of holders) if (each <= one) await Promise.all(held);
    },
    hold: (count: number): Held => {
      if ((samples.get(generation) ?? 0) >= GENERATION_SAMPLES) begin();
      const heldSamples = (samples.get(generation) ?? 0) + count;
      samples.set(generation, heldSamples);
      if (heldSamples >= GENERATION_SAMPLES) onFull();
      const { promise, resolve } = Promise.withResolvers<void>();
      const held = generation;
      const own = holders.get(held) ?? new Set();
      holders.set(held, own.add(promise));
      return {
        generation: held,
        release: () => {
          own.delete(promise);
          if (own.size === 0) holders.delete(held);
          resolve();
        },
      };
    },
  };
}

/** Which batches arrived; noting one again changes nothing. */
const noteBatches = (
  generation: number,
): string => `INSERT INTO batches (host, epoch, seq, since, at, ticks, everyMs, samples, quarantined, received)
  SELECT host, epoch, seq, since, at, arraySort(arrayDistinct(groupArrayArray(ticks))), max(everyMs), max(samples),
    max(quarantined), max(received)
  FROM arrived_batches WHERE generation = ${generation} GROUP BY host, epoch, seq, since, at
   SETTINGS max_partitions_per_insert_block = 0`;

/**
 * Each series of a generation in each window, by time, without what is there already; of any number of days. `isOld` says
 * of which arrivals a part may be there.
 */
const makeChunks = (
  generation: number,
  isOld: string,
): string => `INSERT INTO chunks_next (metric, host, labels, start, offsetsMs, values)
  SELECT metric, host, labels, start,
    if(isPlain, sorted, arrayFilter((offset, new) -> new, sorted, isNew)) AS offsetsMs,
    if(isPlain, rows, arrayFilter((value, new) -> new, rows, isNew)) AS values
  FROM (
    SELECT metric, host, labels, start,
      groupArrayArrayIf(offsets, NOT isKnown) AS came, groupArrayArrayIf(offsets, isKnown) AS known,
      arraySort(came) AS sorted, arraySort((value, offset) -> offset, groupArrayArrayIf(row, NOT isKnown), came) AS rows,
      empty(known) AND length(arrayDistinct(sorted)) = length(sorted) AS isPlain,
      if(isPlain, [], arrayMap((offset, i) -> NOT has(known, offset) AND (i = 1 OR sorted[i - 1] != offset),
        sorted, arrayEnumerate(sorted))) AS isNew
    FROM (
      SELECT metric, host, label AS labels, start, false AS isKnown,
        arrayFilter((offset, value) -> NOT isNaN(value), offsetsMs, one) AS offsets,
        arrayFilter(value -> NOT isNaN(value), one) AS row
      FROM arrivals ARRAY JOIN metrics AS metric, labels AS label, values AS one WHERE generation = ${generation}
      UNION ALL
      SELECT metric, host, labels, start, true, offsetsMs, CAST([], 'Array(Float64)')
      FROM stored WHERE (host, start) IN (SELECT DISTINCT host, start FROM arrivals WHERE generation = ${generation} ${isOld})
    ) GROUP BY metric, host, labels, start
  ) WHERE notEmpty(offsetsMs)
  SETTINGS max_threads = 1, max_insert_threads = 1, max_partitions_per_insert_block = 0`;
