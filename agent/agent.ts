import { randomBytes } from 'node:crypto';
import { join } from 'node:path';

import type { Inventory } from '@muster/proto/batch';
import { describeError, type Log } from '@muster/proto/log';

import { makeClockOffset } from './clock-offset.ts';
import { clampEvery, type Config } from './config.ts';
import { enroll } from './enroll.ts';
import { openHttpClient, type HttpClient } from './http-client.ts';
import { lockState } from './lock.ts';
import { readProcessClocks } from './meter.ts';
import { NO_NOTIFIER, type Notifier } from './notify.ts';
import { openPush } from './push.ts';
import { openReader, type Reader, type ReaderOptions, type SourceCost } from './reader.ts';
import { keepRefused } from './refused.ts';
import { openSampler } from './sampler.ts';
import type { Closing, Schedule } from './schedule.ts';
import type { Source } from './source.ts';
import { openSources, type SourceSettings, type SourceSurroundings } from './sources.ts';
import { readInventory } from './sources/inventory.ts';
import { readUptime } from './sources/uptime.ts';
import { MEMORY_BYTES_MAX, openSpool, SPOOL_AGE_MS_MAX, SPOOL_BYTES_MAX, type Spool } from './spool/spool.ts';
import {
  keepIn,
  makeStateDirectory,
  readIdentity,
  readMachine,
  readNewBoot,
  reserveIdentity,
  writeBoot,
  writeIdentity,
} from './state.ts';

/** How long a request to the collector may take: a slow line, and its commit. */
const DEADLINE_MS = 10_000;
/** One connection for each lane of the push. A kept one outlives the time between two pushes, and ends before the collector ends it. */
const CLIENT = { keepMs: 70_000, connections: 2 };
/** A container engine kills ten seconds after it asked. */
const FLUSH_MS = 9_000;

export type Surroundings = {
  readonly log: Log;
  readonly now: () => number;
  readonly random: () => number;
  readonly schedule: Schedule;
  /** Is told what shows that the agent works; none where nobody supervises it. */
  readonly notifier?: Notifier;
  /** Told of every batch that the collector has acknowledged. */
  readonly delivered?: () => void;
};

export type Agent = {
  /** Resolves, with the reason, when the collector refuses to let this host join: there is nothing left to do. */
  readonly refused: Promise<string>;
  /** Stops sampling, then delivers what waits. */
  readonly close: () => Promise<void>;
};

/** What an agent is made of besides the delivery; programs that prove something about the delivery bring their own. */
export type Parts = {
  readonly openSources: (settings: SourceSettings, surroundings: SourceSurroundings) => Promise<readonly Source[]>;
  readonly readInventory: typeof readInventory;
  readonly openSpool: typeof openSpool;
};
const PARTS: Parts = { openSources, readInventory, openSpool };

type Part = { readonly close: () => Promise<void> };

/**
 * Opens every part of the agent and joins them. The only file that knows all of them. Sampling starts at once; who
 * this host is may be found out later, and what was sampled until then is delivered later.
 */
export async function openAgent(config: Config, surroundings: Surroundings, parts = PARTS): Promise<Agent> {
  const { log, now, notifier = NO_NOTIFIER } = surroundings;
  const { promise: refused, resolve: refuse } = Promise.withResolvers<string>();
  const opened: Part[] = [];
  try {
    makeStateDirectory(config.stateDirectory);
    const lock = lockState(config.stateDirectory);
    opened.push({ close: async () => lock.release() });
    const identity = readIdentity(config.stateDirectory);
    const connections = openHttpClient({ url: config.url }, CLIENT);
    opened.push({ close: async () => connections.close() });
    const client = tellRequests(connections, notifier);
    const spool = parts.openSpool({
      directory: join(config.stateDirectory, 'spool'),
      bytesMax: SPOOL_BYTES_MAX,
      memoryBytesMax: MEMORY_BYTES_MAX,
      ageMsMax: SPOOL_AGE_MS_MAX,
      epoch: randomBytes(4).readUInt32BE(),
      log,
      now,
    });
    opened.push({ close: async () => closeSpool(spool, log) });
    describeHost(config, spool, { ...surroundings, readInventory: parts.readInventory });
    const clockOffset = makeClockOffset();
    const push = openPush({
      ...surroundings,
      client,
      spool: tellDelivered(spool, surroundings),
      run: randomBytes(6).readUIntBE(0, 6),
      authorise: identity === null ? makeEnroller(config, client, surroundings, refuse) : async () => identity.token,
      setEvery: (everyMs) => sampler.setEvery(clampEvery(everyMs ?? config.everyMs)),
      onExchange: clockOffset.note,
      keepRefused: (batch) => keepRefused(join(config.stateDirectory, 'refused'), batch),
      deadlineMs: DEADLINE_MS,
      flushMs: FLUSH_MS,
    });
    opened.push(push);
    const reader = await openSourceReader(config, surroundings, {
      openSources: parts.openSources,
      note: (event) => spool.note(event),
      readClockOffset: clockOffset.read,
    });
    opened.push(reader);
    const sampler = openSampler({
      ...surroundings,
      read: reader.read,
      everyMs: config.everyMs,
      take: (tick) => {
        spool.add(tick);
        push.wake(tick.tsMs);
        notifier.ticked(tick.everyMs);
      },
    });
    opened.push({
      close: async () => {
        await sampler.close();
        spool.note({ kind: 'shutdown', atMs: now() });
      },
    });
    if (identity !== null) {
      log.info('agent.enrolled', { host: identity.host });
      if (config.token.ok) log.info('token.not-needed', { next: TOKEN_NOT_NEEDED });
    }
    return { refused, close: () => closeAll(opened) };
  } catch (cause) {
    await closeAll(opened).catch(() => undefined); // the fault that stopped us is the one worth reporting
    throw new Error('Cannot open the agent', { cause });
  }
}

/** The same client, whose every request is told. */
function tellRequests(client: HttpClient, { asked }: Notifier): HttpClient {
  return {
    ...client,
    request: (request) => {
      asked();
      return client.request(request);
    },
  };
}

/** The same spool, whose every batch that the collector has stored is told. */
function tellDelivered(spool: Spool, { notifier, delivered }: Pick<Surroundings, 'notifier' | 'delivered'>): Spool {
  return {
    ...spool,
    settle: (parcel) => {
      spool.settle(parcel);
      notifier?.delivered();
      delivered?.();
    },
  };
}

/** What the collector has not taken by now is on the disk, unless the disk takes nothing either. */
function closeSpool(spool: Spool, log: Log): void {
  const samples = spool.countWaiting();
  if (spool.close()) {
    if (samples > 0) log.info('agent.kept', { samples, next: 'they are delivered when the agent starts again' });
  } else log.error('agent.lost', { samples, reason: 'neither the collector nor the disk took them' });
}

/** Opens the sources and what reads them. */
async function openSourceReader(
  { root, sources, checks, stateDirectory }: Config,
  { log, now }: Pick<Surroundings, 'log' | 'now'>,
  {
    openSources: open,
    note,
    readClockOffset,
  }: Pick<Parts, 'openSources'> & Pick<ReaderOptions, 'note'> & Pick<SourceSurroundings, 'readClockOffset'>,
): Promise<Reader> {
  let reader: Reader | null = null;
  const listCosts = (): readonly SourceCost[] => reader?.listCosts() ?? [];
  reader = openReader({
    sources: await open(sources, {
      root,
      now,
      listCosts,
      checks,
      log,
      readClockOffset,
      keepFor: (name) => keepIn(stateDirectory, name),
    }),
    note,
    log,
    now,
    ...readProcessClocks(),
  });
  return reader;
}

/** What is told about the host once per start. Nothing waits for the inventory. */
function describeHost(
  config: Config,
  spool: Spool,
  { log, now, readInventory: read }: Surroundings & Pick<Parts, 'readInventory'>,
): void {
  try {
    noteBoot(config, spool, now);
  } catch (cause) {
    log.warn('boot.failed', { cause });
  }
  read(config.root).then(
    (info) => spool.describe(withLabels(info, config)),
    (cause: unknown) => log.warn('inventory.failed', { cause }),
  );
}

function withLabels(info: Inventory, { labels }: Config): Inventory {
  return Object.keys(labels).length === 0 ? info : { ...info, labels };
}

/** Notes that the machine was started since the agent ran last. The first time nobody knows, and nothing is noted. */
function noteBoot({ root, stateDirectory }: Config, spool: Spool, now: () => number): void {
  const boot = readNewBoot(root, stateDirectory);
  if (boot === null) return;
  if (boot.known !== null) {
    const uptimeSeconds = readUptime(root);
    if (!uptimeSeconds.ok) throw new Error(uptimeSeconds.error);
    spool.note({ kind: 'boot', atMs: Math.round(now() - uptimeSeconds.value * 1000) });
  }
  // Only when it is written: a boot that is told twice is better than one that is never told.
  if (spool.flush()) writeBoot(stateDirectory, boot);
}

/** Gives the token of a host that has yet to join the fleet, and keeps its identity. Refused, it tells `refuse` why. */
function makeEnroller(
  { token, name, root, stateDirectory }: Config,
  client: HttpClient,
  surroundings: Surroundings,
  refuse: (reason: string) => void,
): (closing: Closing) => Promise<string | null> {
  if (!token.ok) throw new Error(`there is no identity in ${stateDirectory}, and ${token.error}`);
  reserveIdentity(stateDirectory);
  const request = { token: token.value, name, machine: readMachine(root, stateDirectory) };
  return async (closing) => {
    const reply = await enroll({ ...surroundings, client, request, deadlineMs: DEADLINE_MS, closing });
    if (reply === null) return null;
    if (!reply.ok) {
      refuse(reply.error);
      return null;
    }
    try {
      writeIdentity(stateDirectory, reply.value);
    } catch (cause) {
      refuse(`${IDENTITY_LOST} ${stateDirectory}: ${describeError(cause)}`);
      return null;
    }
    surroundings.log.info('agent.enrolled', { host: reply.value.host });
    return reply.value.token;
  };
}

const TOKEN_NOT_NEEDED =
  'this host has joined already, and goes on as who it is; to join anew, remove identity.json from the state directory';

const IDENTITY_LOST =
  'the collector let this host join, but who it is cannot be kept; mend the state directory, and start the agent again, ' +
  'with the same enrolment token while it holds, or a new one. Cannot write to';

/** Closes in the reverse of the order opened. */
async function closeAll(opened: readonly Part[]): Promise<void> {
  for (const part of opened.toReversed()) await part.close();
}
