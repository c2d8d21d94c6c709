import type { Inventory } from './batch.ts';
import type { Labels } from './labels.ts';
import type { MetricKind } from './metric.ts';

/** A host that has not been heard for this many of its own intervals is silent … */
export const SILENT_INTERVALS = 3;
/** … but not before this: a shorter silence says more about the network than about the host. */
export const SILENT_MS_MIN = 15_000;

/**
 * `up`: a batch of it arrived lately. `silent`: it did once. `new`: enrolled, nothing arrived yet. `quarantined`: two
 * machines send with its token, so nothing of it is taken until it enrols anew.
 */
export type HostStatus = 'up' | 'silent' | 'new' | 'quarantined';

/** One host in the fleet, as the table shows it. null: not known, never 0 in its place. Rates are per second. */
export type HostRow = {
  /** The id fixed at enrolment; `[a-z0-9.-]`, safe in a URL. */
  readonly host: string;
  /** What people call it: any text. */
  readonly name: string;
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
};

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
 * there is only one or when it was reset in between.
 */
export type LatestValue = {
  readonly metric: string;
  readonly labels: string;
  readonly tsMs: number;
  readonly value: number | null;
};

/**
 * `GET /api/v1/series?host=&metric=&fromMs=&toMs=`: every label set of one metric on one host. A counter comes as its
 * rate per second. The collector chooses the tier and the number of points.
 */
export type SeriesReply = {
  readonly host: string;
  readonly metric: string;
  readonly kind: MetricKind;
  /** Of the values here: a counter's unit is already per second (`By/s`). Empty for a metric not in the catalogue. */
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
/** `used` of `hosts` have joined. Tokens that are over are cleared away a day after they expired. */
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

/** `DELETE /api/v1/tokens/:id`: what was revoked, `host` null for an enrolment token. */
export type RevokeReply = { readonly id: string; readonly host: string | null };
