import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

import type { Log } from '@muster/proto/log';
import { isRecord } from '@muster/proto/record';

import { StoreError } from '../domain/store-error.ts';
import type { Engine } from './store.ts';
import { makeTurns } from './turns.ts';

/** Added to the time for which what was dropped stays on the disk: a table that is attached anew meanwhile has it again. */
const REDO_SPARE_MS = 40_000;

/**
 * Looks after what the engine merges. When a disk becomes full in the middle of a merge, the engine (26.7, embedded)
 * may take the merged part for whole while its files are cut off or empty: reads of it fail, and with the parts that it
 * was merged from its samples would be gone. Those are still there: a table that is attached anew leaves a broken part
 * aside and goes on with them. Inserts do not suffer from this.
 */
export type Mender = {
  /** Looks at every part that is new. True: a table was attached anew. Rejects when something is left to be done. */
  readonly mend: () => Promise<boolean>;
  /**
   * Runs what drops parts of a table; again if the table has to be attached anew before they are gone from the disk.
   * `act` is given the engine itself: a read of it waits for no mending, which waits for `act`.
   */
  readonly drop: (table: string, act: (engine: Engine) => Promise<void>) => Promise<void>;
};

export type MenderOptions = {
  readonly engine: Engine;
  /** How long the engine keeps what was merged or dropped. */
  readonly oldPartsMs: () => number;
  readonly log: Log;
  readonly now: () => number;
};

export function makeMender({ engine, oldPartsMs, log, now }: MenderOptions): Mender {
  let whole: ReadonlySet<string> = new Set();
  const detached = new Set<string>();
  const dropped = new Map<string, { readonly act: (engine: Engine) => Promise<void>; readonly untilMs: number }>();
  const returned = new Set<string>();
  let mending: Promise<boolean> | null = null;
  const inTurn = makeTurns();

  async function attach(table: string): Promise<void> {
    await engine.command(`ATTACH TABLE IF NOT EXISTS ${table}`);
    detached.delete(table);
    returned.add(table);
    await dropAgain(table);
  }

  async function dropAgain(table: string): Promise<void> {
    const last = dropped.get(table);
    if (last !== undefined && now() < last.untilMs) await last.act(engine);
    returned.delete(table);
  }

  /** What could not be done the last time. */
  async function finish(): Promise<void> {
    for (const table of detached) await attach(table);
    for (const table of returned) await dropAgain(table);
  }

  async function mend(): Promise<boolean> {
    await finish();
    const { found, broken } = await findBroken(engine, whole);
    whole = found;
    for (const [table, part] of broken) {
      log.warn('store.mending', { table, part });
      detached.add(table);
      await engine.command(`DETACH TABLE IF EXISTS ${table} SYNC`);
      await attach(table);
    }
    return broken.size > 0;
  }

  return {
    mend() {
      mending ??= inTurn(mend).finally(() => (mending = null));
      return mending;
    },
    drop: (table, act) =>
      inTurn(async () => {
        await finish(); // a table that is not attached has nothing to drop, as far as one can see
        await act(engine);
        dropped.set(table, { act, untilMs: now() + oldPartsMs() + REDO_SPARE_MS });
      }),
  };
}

/** The directories of the parts that are whole, most of them known before, and of each table one part that is not. */
async function findBroken(engine: Engine, whole: ReadonlySet<string>) {
  const rows = await engine.query(
    `SELECT table, name, path, bytes_on_disk AS bytes FROM system.parts WHERE database = currentDatabase() AND active`,
  );
  const found = new Set<string>();
  const broken = new Map<string, string>();
  for (const row of rows) {
    const path = String(row['path']);
    if (whole.has(path) || (await isWhole(path, Number(row['bytes'])))) found.add(path);
    else broken.set(String(row['table']), String(row['name']));
  }
  return { found, broken };
}

/** Whether a part's files hold what the engine has written. One that is gone meanwhile was merged into another. */
async function isWhole(path: string, bytes: number): Promise<boolean> {
  let found = 0;
  try {
    for (const file of await readdir(path)) found += (await stat(join(path, file))).size;
  } catch (error) {
    if (isRecord(error) && error['code'] === 'ENOENT') return true;
    throw error; // it is looked at again
  }
  return found >= bytes;
}

/** The same engine, whose reads that fail are tried once more after the mender has looked. */
export function withMender(engine: Engine, mender: Mender): Engine {
  return {
    ...engine,
    async query(sql, parameters, signal) {
      try {
        return await engine.query(sql, parameters, signal);
      } catch (error) {
        if (signal?.aborted === true || error instanceof StoreError) throw error;
        // Whether it was mended now or a moment ago, and even where the mender has more to do: the table may be there.
        await mender.mend().catch(() => undefined);
        return engine.query(sql, parameters, signal);
      }
    },
  };
}
