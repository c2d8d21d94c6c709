import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

import type { ClickHouseClient } from '@clickhouse/client';

import { StoreError } from '../domain/store-error.ts';
import { codeOf, LAPSE_MS, listClaims, makeNext, readNewest, tell, type Given, type Listed } from './claims.ts';
import { endFormer, nameSession, SESSION_LOCKED, SESSION_UNKNOWN, type Purpose } from './former-claims.ts';
import type { ServerAddress } from './server-address.ts';
import { connect, prepareDatabase, statementsOf, stopStatements } from './server-client.ts';
import { AWAY } from './server-fault.ts';
import { makeTurns } from './turns.ts';

/**
 * That a database is this collector's: of several that are started on it one writes, the others stand by.
 *
 * A claim is a table `claim_<number>`, and the highest number counts: of those who make one table at once one succeeds.
 * What the owner writes goes through sessions of the server that are named after the claim. Each is looked at once it is
 * open: it is used only if the claim counts still. Whoever takes over makes the next table, ends what goes on, and closes
 * those sessions: what the former owner sends from then on, however late (a process that was stopped, a network that was
 * cut), finds no session and is refused. So no clock decides who may write; clocks say only when it is time to take over.
 */
export type Claim = {
  /** What goes through it is done one after the other, as long as the claim counts; a StoreError when it does not. */
  readonly guard: (purpose: Purpose) => Guard;
  /** Says that this collector is there still; to be called every BEAT_MS. */
  readonly renew: () => Promise<void>;
  /** Resolves when another has taken over. */
  readonly lost: Promise<StoreError>;
  /** Gives it up, so that another need not wait. What goes through guards must have ended. */
  readonly close: () => Promise<void>;
};

/** Runs a statement as it must be sent; again where the server had not begun it. */
export type Guard = <T>(act: (given: Given) => Promise<T>) => Promise<T>;

export const BEAT_MS = 5_000;
/** Who could not say for so long that it is there writes nothing more until it can: well before others take over. */
export const STALE_MS = 20_000;
const ASK_MS_MAX = 5_000;
const LOOK_MS = 1_000;
/** How long the server keeps a session that nobody uses, and after how long it is opened anew: well before. */
const SESSION_SECONDS = 60;
const SESSION_MS_MAX = 30_000;
const RETRIES = 2;

export type ClaimOptions = {
  readonly address: ServerAddress;
  /** The name of the claim, which nobody else has. What it has begun to take is its own when it is tried again. */
  readonly id: string;
  /** The claim that an earlier process of this data directory had, which has ended. */
  readonly former: string | null;
  /** Called when another collector has the database, each time that it is another; with a sentence. */
  readonly onStandby: (message: string) => Promise<void>;
  /** Ends the wait. */
  readonly closing: AbortSignal;
  /** Milliseconds since any instant; never goes back. */
  readonly now: () => number;
};

/** Waits until the database is free, and takes it. */
export async function takeClaim(options: ClaimOptions): Promise<Claim> {
  const { address, id, now } = options;
  const client = connect(address, { database: address.database, connections: 2, msMax: ASK_MS_MAX });
  const prefix = statementsOf(address);
  try {
    const startedMs = now();
    const { number, table } = await waitForClaim(client, options);
    const hold = makeHold({ client, id, table, now }, startedMs);
    await endFormer(client, { number, prefix });
    await hold.renew();
    return {
      guard: (purpose) => makeGuard({ client, hold, now, session_id: nameSession(prefix, id, purpose) }),
      renew: hold.renew,
      lost: hold.lost,
      async close() {
        await hold.release();
        await client.close();
      },
    };
  } catch (cause) {
    await client.close();
    throw cause;
  }
}

/** Throws where a collector has a database. */
export async function ensureUnclaimed(address: ServerAddress): Promise<void> {
  await prepareDatabase(address);
  const client = connect(address, { database: address.database, connections: 1, msMax: ASK_MS_MAX });
  try {
    const found = await readNewest(client);
    if (found?.isFree !== true)
      throw new Error(
        `A collector, ${found?.who}, has that database: stop it first; after a kill, wait ${LAPSE_MS / 1000} s`,
      );
  } finally {
    await client.close();
  }
}

/** The claim, when it is won. */
async function waitForClaim(
  client: ClickHouseClient,
  { id, former, onStandby, closing }: ClaimOptions,
): Promise<Listed> {
  let told: string | null = null;
  for (;;) {
    closing.throwIfAborted();
    // Who stands by has time: what the server does not answer now it may later.
    const found = await readNewest(client).catch((cause: unknown) => {
      if (told !== null && cause instanceof StoreError && cause.message === AWAY) return null;
      throw cause;
    });
    if (found?.id === id) return found;
    if (found !== null && (found.isFree || found.id === former)) {
      await makeNext(client, found, id);
      continue;
    }
    if (found !== null && found.id !== told) {
      told = found.id;
      await onStandby(`Another collector, ${found.who}, has this database; this one takes over when that one ends`);
    }
    await sleep(LOOK_MS, undefined, { signal: closing }).catch(() => undefined); // the loop says why
  }
}

type Own = {
  readonly client: ClickHouseClient;
  readonly id: string;
  readonly table: string;
  readonly now: () => number;
};

/** What a claim knows of itself. */
type Hold = {
  readonly renew: () => Promise<void>;
  /** Throws when it is lost; where it was not renewed for long, it is renewed first. */
  readonly ensure: () => Promise<void>;
  /** Throws when it does not count, as seen by a statement that is sent so. */
  readonly confirm: (given?: Partial<Given>) => Promise<void>;
  readonly lost: Promise<StoreError>;
  readonly release: () => Promise<void>;
};

function makeHold({ client, id, table, now }: Own, startedMs: number): Hold {
  const { promise: lost, resolve: lose } = Promise.withResolvers<StoreError>();
  let loss: StoreError | null = null;
  let renewedMs = startedMs;
  let beats = 0;

  const beat = (isReleased: 0 | 1): Promise<void> =>
    tell(client, `INSERT INTO ${table} (beat, isReleased) VALUES (${(beats += 1)}, ${isReleased})`);

  async function confirm(given: Partial<Given> = {}): Promise<void> {
    const newest = (await listClaims(client, given)).at(-1);
    if (newest?.id === id) return;
    loss ??= new StoreError(describeLoss(newest), false, null, true);
    lose(loss);
    throw loss;
  }

  async function renew(): Promise<void> {
    const sentMs = now();
    await confirm();
    await beat(0);
    await confirm(); // it may have been too late
    renewedMs = sentMs;
  }

  return {
    renew,
    async ensure() {
      if (loss !== null) throw loss;
      if (now() - renewedMs > STALE_MS) await renew();
    },
    confirm,
    lost,
    async release() {
      if (loss === null) await beat(1).catch(() => undefined); // else it lapses
    },
  };
}

function describeLoss(newest: Listed | undefined): string {
  return newest === undefined
    ? 'The database was emptied or replaced under this collector; start it again'
    : `Another collector, ${newest.who}, has taken the database over, which happens when one is not heard for ${LAPSE_MS / 1000} s; start this one again to stand by`;
}

type Guarding = {
  readonly client: ClickHouseClient;
  readonly hold: Hold;
  readonly session_id: string;
  readonly now: () => number;
};

function makeGuard({ client, hold, session_id, now }: Guarding): Guard {
  const session_timeout = String(SESSION_SECONDS);
  const inTurn = makeTurns();
  let usedMs = -Infinity;
  const openSession = (): Promise<void> => hold.confirm({ session_id, clickhouse_settings: { session_timeout } });

  async function run<T>(act: (given: Given) => Promise<T>, retries: number): Promise<T> {
    const query_id = `${session_id}-${randomUUID()}`;
    try {
      return await act({ query_id, session_id, clickhouse_settings: { session_check: '1', session_timeout } });
    } catch (cause) {
      const code = codeOf(cause);
      if (retries === 0 || (code !== SESSION_LOCKED && code !== SESSION_UNKNOWN)) throw cause;
      // One of which the answer was lost still runs there.
      if (code === SESSION_LOCKED) await stopStatements(client, `startsWith(query_id, '${session_id}')`);
      else await openSession();
      return run(act, retries - 1);
    } finally {
      usedMs = now();
    }
  }

  return (act) =>
    inTurn(async () => {
      await hold.ensure();
      // Before it ends for want of use, so that no block is sent in vain.
      if (now() - usedMs > SESSION_MS_MAX) await openSession();
      return run(act, RETRIES);
    });
}
