import { join } from 'node:path';

import type { DropReply } from '@muster/proto/api';
import type { Log } from '@muster/proto/log';
import { WATCHED_MS } from '@muster/proto/push';

import { readAccessKey } from './access.ts';
import { makeAdmission, type Admission } from './admission.ts';
import { makeBackups } from './backups.ts';
import { closeAll } from './close-all.ts';
import type { Config } from './config.ts';
import type { HeardHost } from './domain/samples.ts';
import { makeApp, type Route } from './http/app.ts';
import { makeDownloads } from './http/downloads.ts';
import { openLiveServer } from './http/live-server.ts';
import { loadPage } from './http/page.ts';
import { makeAgentFileRoutes } from './http/routes/agent-files.ts';
import { makeEnrollRoutes } from './http/routes/enroll.ts';
import { makeAnswerPush } from './http/direct.ts';
import { makeHealthRoutes } from './http/routes/health.ts';
import { makeHistoryRoute } from './http/routes/history.ts';
import { makeHostRangeRoute } from './http/routes/host-range.ts';
import { makeHostRoutes } from './http/routes/hosts.ts';
import { makeIngestRoute, makeTakePush, type TakePush } from './http/routes/ingest.ts';
import { makeJobsRoute } from './http/routes/jobs.ts';
import { makeSamplesRoute } from './http/routes/samples.ts';
import { makeSeriesRoute } from './http/routes/series.ts';
import { makeSessionRoutes } from './http/routes/session.ts';
import { makeTokenRoutes } from './http/routes/tokens.ts';
import { openServer } from './http/server.ts';
import { openStandbyServer } from './http/standby.ts';
import { makeStrangers, type Strangers } from './http/strangers.ts';
import { makeTurnedAway, type NoteTurnedAway } from './http/turned-away.ts';
import { BASES_BYTES_MAX, makeBases } from './ingest/bases.ts';
import { acceptHistory } from './ingest/history.ts';
import { acceptBatch, type IngestOptions } from './ingest/ingest.ts';
import { makeLatest, type Latest } from './ingest/latest.ts';
import { makeQuarantineShare } from './ingest/quarantine-share.ts';
import type { AnyJob } from './job.ts';
import { JOBS, openJobs, type Jobs } from './jobs.ts';
import { openHistoryBuffer } from './history-buffer.ts';
import { openLiveHub, type LiveHub } from './live.ts';
import { openStore, type Part, type Store } from './open-store.ts';
import { repeat } from './repeat.ts';
import { makeNovelty } from './ingest/novelty.ts';
import { openSampleBuffer } from './sample-buffer.ts';
import { hashSecret, isSecret } from './secret.ts';
import { makeSessions, type Sessions } from './sessions.ts';
import { readCompleteness } from './store/completeness.ts';
import { explainDataFault } from './store/data-fault.ts';
import { dropBefore } from './store/drop.ts';
import { readEvents } from './store/events.ts';
import { readHeard, readNewest } from './store/newest.ts';
import { readSeries } from './store/queries.ts';
import { withSignal } from './store/store.ts';

const DAY_MS = 86_400_000;
/** How often it is looked whether a backup is due. */
const BACKUP_LOOK_MS = 60_000;

export type Collector = {
  readonly port: number;
  /** Opens the dashboard and signs in. */
  readonly url: string;
  /** Every way in, with whom it lets in. */
  readonly routes: readonly Pick<Route, 'method' | 'path' | 'role'>[];
  /** Answers a request as the server does, without one; for tests. */
  readonly fetch: (request: Request) => Response | Promise<Response>;
  /** Resolves when it can do nothing more, with why; it is to be closed then. */
  readonly lost: Promise<Error>;
  /** Closes it once, however often it is asked: whoever asks again waits for the same end. */
  close(): Promise<void>;
};

/** `closing` ends an opening that waits for the server of its store. */
export type CollectorSettings = Config & { readonly closing?: AbortSignal };

/** Opens every part of the collector and joins them. The only file that knows all of them. `jobs`: those of the store. */
export async function openCollector(
  config: CollectorSettings,
  log: Log,
  now: () => number,
  jobs: readonly AnyJob[] = JOBS,
): Promise<Collector> {
  const opened: Part[] = [];
  try {
    const onStandby = (message: string) => openStandbyServer({ hostname: config.bind, port: config.port, message });
    const store = await openStore({ ...config, onStandby }, opened, log, now);
    const { state, metrics } = store;

    const latest = makeLatest(metrics);
    for (const { host, name, inventory } of state.hosts.all()) latest.addHost(host, name, inventory);
    const heard = await restoreLatest(latest, store, now);
    const hub = openLiveHub(latest, now);
    opened.push({ name: 'live hub', close: () => hub.close() });

    const buffer = openSampleBuffer({
      shardOf: store.shardOf,
      commits: store.commits,
      isNew: makeNovelty(heard),
      log,
    });
    opened.push({ name: 'ingest buffer', close: () => buffer.close() });

    const accessKey = await readAccessKey(config.data);
    const sessions = makeSessions(state.sessions, now);
    const onChanged = (host: string): void => hub.hostChanged(host, []);
    const admission = makeAdmission({ state, accessKey, sessions, latest, onChanged, log, now });
    const { authorise, admitRun } = admission;
    const ingest = makeIngestOptions({ store, latest, hub, buffer, admitRun, log, now });
    const onTurnedAway = makeTurnedAway(log, now);
    const strangers = makeStrangers(onTurnedAway);
    const takes = {
      take: makeTakePush((sender, body) => acceptBatch(ingest, sender, body), onTurnedAway, now),
      takeHistory: makeTakeHistory(store, { opened, onTurnedAway, log, now }),
    };
    const storeJobs = openJobs({ jobs, store, log, now });
    const parts = { config, accessKey, sessions, admission, hub, ...takes, latest, store, onTurnedAway, log, now };
    const routes = makeRoutes({ ...parts, strangers, storeJobs });
    const page = await loadPage(join(import.meta.dirname, '../web/dist'));
    const app = makeApp({ routes, page, authorise, onAdmitted: strangers.trust, log });

    // Whatever accepts work opens last and closes first.
    const live = await openLiveServer({ port: config.livePort, authorise, handlers: hub });
    opened.push({ name: 'live server', close: () => live.close() });
    const address = { hostname: config.bind, port: config.port, livePort: live.port };
    const answerPush = makeAnswerPush({ ...takes, authorise, onAdmitted: strangers.trust, log });
    const server = await openServer({ app, answerPush, ...address, strangers, onTurnedAway, log });
    opened.push({ name: 'HTTP server', close: () => server.close() });
    const { backups } = store;
    if (config.backupEvery > 0 && backups !== null) opened.push(openBackups(backups, { config, storeJobs, log, now }));
    // Whoever waits for a job is told first: the server waits for the answer.
    opened.push({ name: 'job of the store', close: () => storeJobs.close() });

    const origin = `http://${config.bind.includes(':') ? `[${config.bind}]` : config.bind}:${server.port}`;
    return {
      port: server.port,
      url: `${origin}/#key=${accessKey}`,
      routes,
      fetch: (request) => app.fetch(request),
      lost: store.lost,
      close: makeClose(opened),
    };
  } catch (cause) {
    await closeAll(opened).catch(() => undefined); // the fault that stopped us is the one worth reporting
    throw explainDataFault(config.data, cause) ?? cause;
  }
}

/** What the fleet looked like before a restart; when its hosts were heard. */
async function restoreLatest(
  latest: Latest,
  { shards, shardOf }: Store,
  now: () => number,
): Promise<readonly HeardHost[]> {
  const all: HeardHost[] = [];
  for (const shard of shards) {
    for (const value of await readNewest(shard.engine, now())) latest.restore(value, now());
    const hosts = [...latest.hosts()].filter((host) => shardOf(host) === shard);
    all.push(...(await readHeard(shard.engine, hosts, now())));
  }
  for (const one of all) latest.restoreHeard(one, now());
  return all;
}

/** Makes backups when they are due. */
function openBackups(folder: string, { config, storeJobs, log, now }: BackupParts): Part {
  const { backupEvery: everyMs, backupKeep: keep } = config;
  const makeDue = makeBackups({ folder, everyMs, keep, start: storeJobs.start, log, now });
  const backing = repeat(BACKUP_LOOK_MS, makeDue, (error) => log.error('backup.failed', { error }));
  return { name: 'backups', close: () => backing.close() };
}

type BackupParts = Pick<RouteParts, 'config' | 'log' | 'now'> & { readonly storeJobs: Jobs };

type IngestParts = Pick<IngestOptions, 'latest' | 'buffer' | 'admitRun' | 'now'> & {
  readonly store: Store;
  readonly hub: LiveHub;
  readonly log: Log;
};

/** What takes batches, joined to what they go to. */
function makeIngestOptions({ store, latest, hub, buffer, admitRun, log, now }: IngestParts): IngestOptions {
  const { hosts } = store.state;
  return {
    admitRun,
    bases: makeBases({ bytesMax: BASES_BYTES_MAX, now }),
    latest,
    buffer,
    quarantine: makeQuarantineShare(),
    pastMsMax: store.keep.raw * DAY_MS,
    fault: store.fault,
    onValues: hub.hostChanged,
    isShown: (host) => hub.isWatched(host),
    learnMetrics: store.metrics.learn,
    async storeInventory(host, inventory) {
      if (JSON.stringify(hosts.get(host)?.inventory) === JSON.stringify(inventory)) return;
      await hosts.change(host, (row) => ({ ...row, inventory }));
    },
    everyMs: (host) => (hub.isWatched(host) ? WATCHED_MS : undefined),
    onQuarantined: makeQuarantineLog(log),
    now,
  };
}

type HistoryParts = Pick<RouteParts, 'onTurnedAway' | 'log' | 'now'> & { readonly opened: Part[] };

/** What takes the past of hosts, joined to the rollups. */
function makeTakeHistory(store: Store, { opened, onTurnedAway, log, now }: HistoryParts): TakePush {
  const buffer = openHistoryBuffer({ shardOf: store.shardOf, log });
  opened.push({ name: 'history buffer', close: () => buffer.close() });
  const pastMsMax = store.keep['1d'] * DAY_MS;
  const options = { buffer, pastMsMax, learnMetrics: store.metrics.learn, fault: store.fault, now };
  return makeTakePush(({ host }, body) => acceptHistory(options, host, body), onTurnedAway, now);
}

/** Says so when a host begins to send what has to be set aside, and when it has stopped; not with every batch. */
function makeQuarantineLog(log: Log): IngestOptions['onQuarantined'] {
  const hosts = new Set<string>();
  return (host, samples, clockOffsetMs) => {
    if (samples > 0 && !hosts.has(host)) log.warn('ingest.samples-quarantined', { host, samples, clockOffsetMs });
    if (samples === 0 && hosts.has(host)) log.info('ingest.samples-accepted', { host });
    if (samples > 0) hosts.add(host);
    else hosts.delete(host);
  };
}

type RouteParts = {
  readonly config: Config;
  readonly accessKey: string;
  readonly sessions: Sessions;
  readonly admission: Admission;
  readonly hub: LiveHub;
  readonly take: TakePush;
  readonly takeHistory: TakePush;
  readonly latest: Latest;
  readonly store: Store;
  readonly storeJobs: Jobs;
  readonly strangers: Strangers;
  readonly onTurnedAway: NoteTurnedAway;
  readonly log: Log;
  readonly now: () => number;
};

function makeRoutes(parts: RouteParts): readonly Route[] {
  const { accessKey, sessions, admission, hub, latest, onTurnedAway, log, now } = parts;
  const { fault, shardOf } = parts.store;
  const readerOf = (host: string, signal: AbortSignal) => withSignal(shardOf(host).engine, signal);
  const accessKeyHash = hashSecret(accessKey);
  const ofHost = { isHost: latest.has, now };
  return [
    ...makeHealthRoutes(fault),
    ...makeAgentFileRoutes({
      directory: parts.config.agents,
      deployDirectory: join(import.meta.dirname, '../deploy'),
      downloads: makeDownloads({ setAside: parts.strangers.setAside, onTurnedAway, now }),
    }),
    ...makeSessionRoutes({
      openSession: async (key) => (isSecret(key, accessKeyHash) ? sessions.open() : null),
      async closeSession(session) {
        await sessions.close(session);
        hub.endSession(session);
      },
    }),
    ...makeEnrollRoutes(admission.enrolment),
    ...makeTokenRoutes(admission.tokens),
    makeIngestRoute(parts.take),
    makeHistoryRoute({ isHost: latest.has, take: parts.takeHistory }),
    ...makeHostRoutes(latest, now),
    makeSeriesRoute({
      isHost: latest.has,
      findMetric: parts.store.metrics.find,
      readSeries: (query, signal) =>
        readSeries(readerOf(query.host, signal), query, { keep: parts.store.keep, nowMs: now() }),
    }),
    makeHostRangeRoute({
      ...ofHost,
      what: 'completeness',
      read: (query, signal) => readCompleteness(readerOf(query.host, signal), query),
    }),
    makeHostRangeRoute({
      ...ofHost,
      what: 'events',
      read: (query, signal) => readEvents(readerOf(query.host, signal), query),
    }),
    makeSamplesRoute({ dropBefore: (beforeMs) => dropBeforeOnAll(parts.store, beforeMs), log, now }),
    makeJobsRoute(parts.storeJobs),
  ];
}

async function dropBeforeOnAll({ shards }: Store, beforeMs: number): Promise<DropReply> {
  const replies = [];
  for (const shard of shards) replies.push(await dropBefore(shard, beforeMs));
  const days = [...new Set(replies.flatMap((reply) => reply.days))].toSorted((a, b) => a.localeCompare(b));
  return { days, rows: replies.reduce((sum, { rows }) => sum + rows, 0) };
}

/** Closes all once: whoever asks again waits for the same end. */
function makeClose(opened: readonly Part[]): Collector['close'] {
  let closed: Promise<void> | null = null;
  return () => (closed ??= closeAll(opened));
}
