import { join } from 'node:path';

import type { Batch } from '@muster/proto/batch';
import { describeError, type Log } from '@muster/proto/log';
import { WATCHED_MS } from '@muster/proto/push';

import { makeAuthorise, readAccessKey } from './access.ts';
import type { Config } from './config.ts';
import { makeEnrolment, type Enrolment } from './enrolment.ts';
import { makeApp, type Route } from './http/app.ts';
import { openLiveServer } from './http/live-server.ts';
import { loadPage } from './http/page.ts';
import { makeEnrollRoutes } from './http/routes/enroll.ts';
import { makeHealthRoutes } from './http/routes/health.ts';
import { makeHostRoutes } from './http/routes/hosts.ts';
import { makeIngestRoute } from './http/routes/ingest.ts';
import { makeSeriesRoute } from './http/routes/series.ts';
import { makeSessionRoutes } from './http/routes/session.ts';
import { openServer } from './http/server.ts';
import { makeStrangers } from './http/strangers.ts';
import { openBuffer, type Buffer } from './ingest/buffer.ts';
import { makeEventRows, makeSampleBlock, type HostBatch } from './ingest/columns.ts';
import { acceptBatch, type IngestOptions } from './ingest/ingest.ts';
import { makeLatest, type Latest } from './ingest/latest.ts';
import { openLiveHub, type LiveHub } from './live.ts';
import { hashSecret, isSecret } from './secret.ts';
import { makeSessions, type Sessions } from './sessions.ts';
import { openEmbedded } from './store/embedded.ts';
import { insertEvents, insertSamples } from './store/insert.ts';
import { lockDirectory } from './store/lock.ts';
import { migrate } from './store/migrations.ts';
import { readNewest, readSeries } from './store/queries.ts';
import { openRollup, type Rollup } from './store/rollup.ts';
import { loadState, type State } from './store/state.ts';
import type { Engine } from './store/store.ts';

/** A commit is one block: large enough for the engine under load, soon enough for the agent that waits. */
const COMMIT_ROWS = 100_000;
const COMMIT_MS = 250;
/** What may wait for the store: 8 M samples, some seconds of full load. */
const BUFFER_BYTES_MAX = 64 * 1024 * 1024;
const ROLLUP_RUN_MS = 60_000;

export type Collector = {
  readonly port: number;
  /** Opens the dashboard and signs in. */
  readonly url: string;
  /** Every way in, with whom it lets in. */
  readonly routes: readonly Pick<Route, 'method' | 'path' | 'role'>[];
  /** Answers a request as the server does, without one; for tests. */
  readonly fetch: (request: Request) => Response | Promise<Response>;
  close(): Promise<void>;
};

type Part = { readonly name: string; readonly close: () => unknown };

/** Opens every part of the collector and joins them. The only file that knows all of them. */
export async function openCollector(config: Config, log: Log, now: () => number): Promise<Collector> {
  const opened: Part[] = [];
  try {
    const lock = await lockDirectory(config.data);
    if (!lock.ok) throw new Error(lock.error);
    opened.push({ name: 'data directory', close: lock.value.release });

    const engine = await openEmbedded(config.data);
    opened.push({ name: 'store', close: () => engine.close() });
    await migrate(engine);
    const state = await loadState(engine, now);
    const rollup = await openRollup(engine, now);
    const rolling = repeat(ROLLUP_RUN_MS, rollup.run, (error) => log.error('rollup.failed', { error }));
    opened.push({ name: 'rollup', close: () => rolling.close() });

    const latest = makeLatest();
    for (const { host, name, inventory } of state.hosts.all()) latest.addHost(host, name, inventory);
    for (const value of await readNewest(engine, rollup.rolledUntilMs(), now())) latest.restore(value, now());
    const hub = openLiveHub(latest, now);
    opened.push({ name: 'live hub', close: () => hub.close() });

    const { buffer, fault } = openSampleBuffer(engine, rollup, log);
    opened.push({ name: 'ingest buffer', close: () => buffer.close() });

    const inventories = makeInventoryStore(state, latest, log);
    opened.push({ name: 'inventory store', close: () => inventories.close() });

    const accessKey = await readAccessKey(config.data);
    const onHost = (host: string, name: string): void => {
      latest.addHost(host, name, null);
      hub.hostChanged(host, []);
      log.info('host.enrolled', { host, name });
    };
    const sessions = makeSessions(state.sessions, now);
    const authorise = makeAuthorise(accessKey, state.hostTokens, sessions);
    const enrolment = makeEnrolment({ state, onHost, now });
    const ingest: IngestOptions = {
      latest,
      buffer,
      onValues: hub.hostChanged,
      onInventory: inventories.store,
      everyMs: (host) => (hub.isWatched(host) ? WATCHED_MS : undefined),
      onRefused: makeRefusalLog(log),
      now,
    };
    const routes = makeRoutes({ fault, accessKey, sessions, enrolment, hub, ingest, latest, engine, rollup, now });
    const page = await loadPage(join(import.meta.dirname, '../web/dist'));
    const strangers = makeStrangers();
    const app = makeApp({ routes, page, authorise, onAdmitted: strangers.trust, log });

    // Whatever accepts work opens last and closes first.
    const live = await openLiveServer({ port: config.livePort, authorise, handlers: hub });
    opened.push({ name: 'live server', close: () => live.close() });
    const address = { hostname: config.bind, port: config.port, livePort: live.port };
    const server = await openServer({ app, ...address, strangers, log });
    opened.push({ name: 'HTTP server', close: () => server.close() });

    const origin = `http://${config.bind.includes(':') ? `[${config.bind}]` : config.bind}:${server.port}`;
    return {
      port: server.port,
      url: `${origin}/#key=${accessKey}`,
      routes,
      fetch: (request) => app.fetch(request),
      close: () => closeAll(opened),
    };
  } catch (cause) {
    await closeAll(opened).catch(() => undefined); // the fault that stopped us is the one worth reporting
    throw cause;
  }
}

/** The buffer that commits to the store, and what keeps it from doing so, if anything. */
function openSampleBuffer(
  engine: Engine,
  rollup: Rollup,
  log: Log,
): { buffer: Buffer<HostBatch>; fault: () => string | null } {
  let fault: string | null = null;
  const buffer = openBuffer<HostBatch>({
    async insert(items) {
      const block = makeSampleBlock(items);
      const { release } = await rollup.hold(block);
      try {
        await insertSamples(engine, block);
        await insertEvents(engine, makeEventRows(items));
      } finally {
        release();
      }
      if (fault !== null) log.info('ingest.recovered');
      fault = null;
    },
    sizeOf: ({ batch }) => ({ rows: batch.values.length, bytes: countBytes(batch) }),
    commitRows: COMMIT_ROWS,
    commitMs: COMMIT_MS,
    bytesMax: BUFFER_BYTES_MAX,
    onError(error) {
      if (fault === null) log.error('ingest.insert-failed', { error });
      fault = `The database does not take samples: ${describeError(error)}`;
    },
  });
  return { buffer, fault: () => fault };
}

/** Roughly what a decoded batch holds in memory: 8 bytes a sample, 2 a character, 100 for each series' objects. */
function countBytes({ values, series }: Batch): number {
  return series.reduce((sum, [metric, labels]) => sum + 100 + 2 * (metric.length + labels.length), values.byteLength);
}

/** Says so when a host begins to send what has to be left out, and when it has stopped; not with every batch. */
function makeRefusalLog(log: Log): IngestOptions['onRefused'] {
  const refusing = new Set<string>();
  return (host, refused, clockOffsetMs) => {
    if (refused > 0 && !refusing.has(host)) log.warn('ingest.samples-refused', { host, refused, clockOffsetMs });
    if (refused === 0 && refusing.has(host)) log.info('ingest.samples-accepted', { host });
    if (refused > 0) refusing.add(host);
    else refusing.delete(host);
  };
}

/**
 * Stores what a host is when it has changed. Not awaited by the ingest, and one write at a time for a host; `close`
 * waits for those under way.
 */
function makeInventoryStore(
  state: State,
  latest: Latest,
  log: Log,
): { readonly store: (host: string) => void; close(): Promise<void> } {
  const storing = new Map<string, Promise<void>>();
  const store = async (host: string): Promise<void> => {
    for (;;) {
      const record = state.hosts.get(host);
      const inventory = latest.inventory(host);
      if (record === undefined || JSON.stringify(record.inventory) === JSON.stringify(inventory)) return;
      await state.hosts.change(host, (row) => ({ ...row, inventory }));
    }
  };
  return {
    store(host) {
      if (storing.has(host)) return;
      const stored = store(host)
        .catch((error: unknown) => log.error('host.not-stored', { host, error }))
        .finally(() => storing.delete(host));
      storing.set(host, stored);
    },
    async close() {
      await Promise.all(storing.values());
    },
  };
}

type RouteParts = {
  readonly fault: () => string | null;
  readonly accessKey: string;
  readonly sessions: Sessions;
  readonly enrolment: Enrolment;
  readonly hub: LiveHub;
  readonly ingest: IngestOptions;
  readonly latest: Latest;
  readonly engine: Engine;
  readonly rollup: Rollup;
  readonly now: () => number;
};

function makeRoutes(parts: RouteParts): readonly Route[] {
  const { fault, accessKey, sessions, enrolment, hub, ingest, latest, engine, rollup, now } = parts;
  const accessKeyHash = hashSecret(accessKey);
  return [
    ...makeHealthRoutes(fault),
    ...makeSessionRoutes({
      openSession: async (key) => (isSecret(key, accessKeyHash) ? sessions.open() : null),
      async closeSession(session) {
        await sessions.close(session);
        hub.endSession(session);
      },
    }),
    ...makeEnrollRoutes(enrolment),
    makeIngestRoute((host, body) => acceptBatch(ingest, host, body), now),
    ...makeHostRoutes(latest, now),
    makeSeriesRoute({
      isHost: latest.has,
      readSeries: (query) => readSeries(engine, { ...query, rolledUntilMs: rollup.rolledUntilMs() }),
    }),
  ];
}

/** Closes in the reverse of the order opened; a part that fails does not keep the others open. */
async function closeAll(opened: readonly Part[]): Promise<void> {
  const faults: unknown[] = [];
  for (const { name, close } of opened.toReversed()) {
    try {
      await close();
    } catch (cause) {
      faults.push(new Error(`Cannot close the ${name}`, { cause }));
    }
  }
  if (faults.length > 0) throw faults[0];
}

/** Runs a task again and again, `everyMs` after the last run has ended; `close` waits for a run under way. */
function repeat(
  everyMs: number,
  task: () => Promise<void>,
  onError: (error: unknown) => void,
): { close(): Promise<void> } {
  let running = Promise.resolve();
  let timer: NodeJS.Timeout | null = null;
  const wait = (): void => {
    timer = setTimeout(() => {
      running = task().catch(onError).then(wait);
    }, everyMs);
  };
  wait();
  return {
    async close() {
      await running;
      if (timer !== null) clearTimeout(timer);
    },
  };
}
