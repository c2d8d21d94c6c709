import type { Inventory } from './batch.ts';
import type { MetricAbout } from './custom.ts';
import type { Labels } from './labels.ts';
import type { MetricKind } from './metric.ts';

/** A host that has not been heard for this many of its own intervals is silent … */
export const SILENT_INTERVALS = 3;
/** … but not before this: a shorter silence says more about the network than about the host. */
export const SILENT_MS_MIN = 15_000;

/**
 * `up`: a batch of it arrived lately. `silent`: it did once. `new`: enrolled, nothing arrived yet. `quarantined`: two
 * machines send with its token. `revoked`: an administrator ended it. Nothing of these two is taken until they enrol anew.
 */
export type HostStatus = 'up' | 'silent' | 'new' | 'quarantined' | 'revoked';

/** One host in the fleet, as the table shows it. null: not known, never 0 in its place. Rates are per second. */
export type HostRow = {
  /** The id fixed at enrolment; `[a-z0-9.-]`, safe in a URL. */
  readonly host: string;
  /** What people call it: any text. */
  readonly name: string;
  /** What its owner says of it: role, team and the like. */
  readonly labels: Labels;
  readonly status: HostStatus;
  /** Its newest tick, by its own clock, and when that arrived, by the collector's. */
  readonly lastMs: number | null;
  readonly arrivedMs: number | null;
  readonly everyMs: number | null;
  readonly cpuRatio: number | null;
  readonly memoryRatio: number | null;
  readonly memoryBytes: number | null;
  /** The fullest filesystem. */
  readonly diskRatio: number | null;
  readonly diskMountpoint: string | null;
  readonly receiveBytesPerSecond: number | null;
  readonly transmitBytesPerSecond: number | null;
  readonly load1: number | null;
  readonly cores: number | null;
  readonly uptimeSeconds: number | null;
  /** How far its clock is ahead of the collector's, as its newest batch left and arrived; below 0: behind. */
  readonly clockOffsetMs: number | null;
};

/** A clock that is wrong by more than this is shown: less may be the way of the batch, and harms nothing yet. */
export const CLOCK_OFFSET_MS_MAX = 60_000;

/** `GET /api/v1/hosts` */
export type HostsReply = { readonly nowMs: number; readonly hosts: readonly HostRow[] };

/** `GET /api/v1/hosts/:host` */
export type HostReply = {
  readonly nowMs: number;
  readonly row: HostRow;
  readonly inventory: Inventory | null;
  readonly latest: readonly LatestValue[];
};

/**
 * The newest value of one series. A counter's `value` is its rate per second over its last two samples, null when
 * there is only one or when it was reset in between. `custom` says of a metric that is not in the catalogue what it is;
 * the unit is that of the value here: of a counter per second.
 */
export type LatestValue = {
  readonly metric: string;
  readonly labels: string;
  readonly tsMs: number;
  readonly value: number | null;
  readonly custom?: MetricAbout;
};

/**
 * `GET /api/v1/series?host=&metric=&fromMs=&toMs=`: every label set of one metric on one host. A counter comes as its
 * rate per second. The collector chooses the tier and the number of points.
 */
export type SeriesReply = {
  readonly host: string;
  readonly metric: string;
  readonly kind: MetricKind;
  /** Of the values here: a counter's unit is already per second (`By/s`). Empty where nobody said. */
  readonly unit: string;
  readonly fromMs: number;
  readonly toMs: number;
  /** Which table answered, the most detailed that the range allows: `raw`, `5m`. */
  readonly tier: string;
  readonly series: readonly SeriesPoints[];
  /**
   * Stretches between two samples of the range in which the host sent nothing for this metric; a line must not be
   * drawn over them. What lies before the first sample and after the last is not among them.
   */
  readonly gaps: readonly (readonly [fromMs: number, toMs: number])[];
};

/** `tsMs` and `values` have the same length; ticks rise. */
export type SeriesPoints = {
  readonly labels: Labels;
  readonly tsMs: readonly number[];
  readonly values: readonly number[];
};

/**
 * What arrived of a host, against what should have.
 *
 * - `ticksReceived`: distinct ticks that arrived and are in time. `ticksExpected`: those and the ones missing between two
 *   ticks that follow one another, by the interval that the agent kept (the longer of the two where it changed; nothing
 *   is expected where it did not say). Before the first and after the last tick of the range nothing is expected.
 * - `batchesReceived`: distinct records of the agent's spool, one or more of which travel as one batch;
 *   `batchesExpected`: those and the ones missing between them, by their numbers, in the hour of the one that follows.
 * - `dropped`: samples that the agent took and lost, as it told by `gap` events, by reason (proto/batch.ts), in the hour
 *   in which the loss began. `killed` counts none: nobody knows how many.
 * - `quarantined`: samples that were set aside, of every batch as it came.
 */
export type Completeness = {
  readonly ticksReceived: number;
  readonly ticksExpected: number;
  readonly batchesReceived: number;
  readonly batchesExpected: number;
  readonly dropped: Readonly<Record<string, number>>;
  readonly quarantined: number;
};
/** By the host's clock; `hourMs` is where the hour begins, Unix milliseconds. */
export type HourCompleteness = Completeness & { readonly hourMs: number };
/** Two ticks that follow one another, with `ticksMissing` between them. */
export type Silence = { readonly fromMs: number; readonly toMs: number; readonly ticksMissing: number };

/** `GET /api/v1/hosts/:host/completeness?fromMs=&toMs=`: without a range the last 24 hours; 31 days at most. */
export type CompletenessReply = {
  readonly host: string;
  readonly fromMs: number;
  readonly toMs: number;
  readonly total: Completeness;
  /** Hours of which there is nothing to say are not among them. */
  readonly hours: readonly HourCompleteness[];
  /** The newest hundred, the newest first; `silencesCount` counts all. */
  readonly silences: readonly Silence[];
  readonly silencesCount: number;
};

/**
 * Something that happened on a host (proto/batch.ts): `subject` says to whom or why. Of a `gap`, `subject` is the reason,
 * `toMs` its last tick, and `dropped` counts the samples.
 */
export type HostEventRow = {
  readonly kind: string;
  readonly atMs: number;
  readonly subject?: string;
  readonly toMs?: number;
  readonly dropped?: number;
};

/** `GET /api/v1/hosts/:host/events?fromMs=&toMs=`: as completeness; the newest hundred, the newest first. */
export type EventsReply = {
  readonly host: string;
  readonly fromMs: number;
  readonly toMs: number;
  readonly events: readonly HostEventRow[];
  readonly eventsCount: number;
};

/** `DELETE /api/v1/samples?beforeMs=`: the days, as `2026-11-21`, whose samples are gone, and how many rows they had. */
export type DropReply = { readonly days: readonly string[]; readonly rows: number };

/**
 * How far a job of the store is: `done` of `total` (null: nobody knows yet), `what` is under way or has just been done,
 * for people.
 */
export type JobProgress = { readonly done: number; readonly total: number | null; readonly what: string };

/**
 * A line of the answer to `POST /api/v1/store/jobs/:name` (application/x-ndjson). Progress as often as there is some, and
 * every 10 s what was said last; the last line is a result or an error, or the collector has gone away.
 */
export type JobLine<Report extends object = object> = { readonly progress: JobProgress } | JobEnd<Report>;
export type JobEnd<Report extends object = object> =
  | { readonly result: Report }
  | { readonly error: { readonly code: 'cancelled' | 'failed'; readonly message: string } };

/** `POST /api/v1/session`: a key opens a session of the browser. */
export type SessionRequest = { readonly key: string };

/** One token may let in a whole fleet, but not without end … */
export const ENROLMENT_HOSTS_MAX = 10_000;
/** … and an image that is rolled out over weeks may hold one. */
export const ENROLMENT_MS_MAX = 30 * 86_400_000;
/** Long enough to paste a command into a terminal. */
export const ENROLMENT_MS_DEFAULT = 15 * 60_000;

/** `POST /api/v1/enrolment-tokens`: how many hosts may join, and for how long. Without a body: one, for 15 minutes. */
export type EnrolmentTokenRequest = { readonly hosts?: number; readonly validMs?: number };
/** `token` is shown this once; `id` names it from then on. */
export type EnrolmentTokenReply = {
  readonly id: string;
  readonly token: string;
  readonly hosts: number;
  readonly expiresMs: number;
};

/** `GET /api/v1/tokens`: what may be used to join, and what each host sends with. Never a secret. */
export type TokensReply = {
  readonly nowMs: number;
  readonly enrolment: readonly EnrolmentTokenRow[];
  readonly hosts: readonly HostTokenRow[];
};
/** `used` of `hosts` have joined. Tokens that are over are cleared away when another is made, a day after they expired at the earliest. */
export type EnrolmentTokenRow = {
  readonly id: string;
  readonly state: 'open' | 'used-up' | 'expired' | 'revoked';
  readonly hosts: number;
  readonly used: number;
  readonly createdMs: number;
  readonly expiresMs: number;
};
/** The token of one host, and since when it has been in its state. */
export type HostTokenRow = {
  readonly id: string;
  readonly host: string;
  readonly name: string;
  readonly state: 'live' | 'quarantined' | 'revoked';
  readonly sinceMs: number;
};

/** What a token's id, or the start of one, looks like. Fewer characters are more likely a slip than a choice. */
export const TOKEN_ID_PATTERN = /^[0-9a-f]{4,64}$/;

/** `DELETE /api/v1/tokens/:id`: what was revoked, `host` null for an enrolment token. */
export type RevokeReply = { readonly id: string; readonly host: string | null };
