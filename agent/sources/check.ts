import { createHash } from 'node:crypto';

import { TEXT_LENGTH_MAX, type Moment } from '@muster/proto/batch';
import { ok } from '@muster/proto/result';

import type { Schedule } from '../schedule.ts';
import type { Sample, Source } from '../source.ts';
import type { Check, Outcome } from './checks/check.ts';
import { makeCounts, type Counts } from './checks/counts.ts';
import { describeCheck } from './checks/describe.ts';
import { keepPace } from './checks/pace.ts';
import type { runProbe } from './checks/run.ts';
import { makeTurns } from './checks/turns.ts';

/** How many services are looked at at the same time: a MiB of body each, and one socket. */
const RUNNING_MAX = 16;
/** The first runs come within this time, however seldom the others are. */
const FIRST_MS_MAX = 60_000;
/** A host that loses its network sees every service go down; a batch holds a hundred events, and others need some. */
const EVENTS_MAX = 20;
/** How many of the checks that are down a remark names. */
const NAMED_MAX = 5;

export type CheckSourceOptions = {
  readonly checks: readonly Check[];
  /** Makes this host run its checks at other moments than the rest of a fleet that was started with it. */
  readonly salt: string;
  readonly root: string;
  /** The wall clock. */
  readonly now: () => number;
  /** Rises steadily, whatever is done to the wall clock. */
  readonly nowMs: () => number;
  readonly schedule: Schedule;
  readonly runProbe: typeof runProbe;
};

type Watched = {
  readonly check: Check;
  readonly counts: Counts;
  /** Resolves when it has been looked at once. */
  readonly seen: PromiseWithResolvers<void>;
  /** It runs, or waits for its turn. */
  isBusy: boolean;
  last: Outcome | null;
  /** Failed runs in a row. */
  failedRuns: number;
  /** What is not told yet. */
  news: Moment | null;
  isFresh: boolean;
};

/**
 * Looks at services, each at its own pace and beside the sampling: a reading hands out what has ended since the one
 * before, of each check the newest run, so that a run bears the first tick after its end. A check never overlaps
 * itself, and all together keep to RUNNING_MAX; waiting for a turn counts for no timeout.
 */
export function makeCheckSource({ checks, salt, runProbe: run, ...options }: CheckSourceOptions): Source {
  const closing = new AbortController();
  const watched = checks.map(makeWatched);
  const takeTurn = makeTurns(RUNNING_MAX);
  let remark = '';

  function begin(one: Watched): void {
    if (one.isBusy) return;
    one.isBusy = true;
    void takeTurn(async () => {
      if (closing.signal.aborted) return;
      const { probe, timeoutMs } = one.check;
      const outcome = await run(probe, { ...options, timeoutMs, closing: closing.signal });
      if (closing.signal.aborted) return;
      take(one, outcome, options.now());
      remark = describeDown(watched);
    });
  }

  const cancels = watched.map((one) => {
    const { name, everyMs } = one.check;
    const firstMs = spread(`${salt} ${name}`) * Math.min(everyMs, FIRST_MS_MAX);
    return keepPace({ ...options, everyMs, firstMs }, () => begin(one));
  });
  return {
    name: 'check',
    read: () => {
      const samples = watched.flatMap((one) => handOut(one, options.now()));
      const told = watched.filter(({ news }) => news !== null).slice(0, EVENTS_MAX);
      const events = told.flatMap(({ news }) => news ?? []);
      for (const one of told) one.news = null;
      return ok({ samples, ...(remark === '' ? {} : { remark }), ...(events.length === 0 ? {} : { events }) });
    },
    settle: async () => {
      for (const one of watched) if (one.last === null) begin(one);
      await Promise.all(watched.map(({ seen }) => seen.promise));
    },
    diagnose: async () =>
      watched.length === 0 ? [NO_CHECKS] : watched.map(({ check, last }) => describeCheck(check, last)),
    close: async () => {
      closing.abort();
      for (const cancel of cancels) cancel();
    },
  };
}

/** Takes what a run found. */
function take(one: Watched, outcome: Outcome, nowMs: number): void {
  one.counts.count(outcome);
  one.news = findNews(one, outcome, nowMs) ?? one.news;
  one.failedRuns = outcome.failure === null ? 0 : one.failedRuns + 1;
  one.last = outcome;
  one.isFresh = true;
  one.isBusy = false;
  one.seen.resolve();
}

/** The samples of the newest run, once. */
function handOut(one: Watched, nowMs: number): readonly Sample[] {
  if (!one.isFresh || one.last === null) return [];
  one.isFresh = false;
  return one.counts.sample(one.last, nowMs);
}

const NO_CHECKS = { what: 'there are none', next: 'list them below "checks" in the configuration file' } as const;

function makeWatched(check: Check): Watched {
  return {
    check,
    counts: makeCounts(check),
    seen: Promise.withResolvers<void>(),
    isBusy: false,
    last: null,
    failedRuns: 0,
    news: null,
    isFresh: false,
  };
}

/** Where in its interval a check has its place, 0…1, the same after every start. */
function spread(text: string): number {
  return createHash('sha256').update(text).digest().readUInt32BE() / 2 ** 32;
}

/** A check whose first run is well is no news. */
function findNews({ check, last, failedRuns }: Watched, { failure }: Outcome, atMs: number): Moment | null {
  const wasDown = last !== null && last.failure !== null;
  if ((failure !== null) === wasDown) return null;
  const words = failure?.words ?? `up again, after ${failedRuns} ${failedRuns === 1 ? 'run' : 'runs'} that failed`;
  const subject = `${check.name}: ${words}`.slice(0, TEXT_LENGTH_MAX);
  return { kind: failure === null ? 'check-up' : 'check-down', atMs, subject };
}

function describeDown(watched: readonly Watched[]): string {
  const down = watched.flatMap(({ check, last }) => (last?.failure ? `${check.name} (${last.failure.words})` : []));
  if (down.length === 0) return '';
  const others = down.length - NAMED_MAX;
  return `down: ${down.slice(0, NAMED_MAX).join('; ')}${others > 0 ? `; and ${others} more` : ''}`;
}
