import { isRecord } from '@muster/proto/record';

import { isNewer } from './release.ts';

/** One version of the agent that was fetched, by its name and by its content. */
export type Version = { readonly version: string; readonly sha256: string };

/** How often a version was found not to work, and when last. */
export type Failure = { readonly sha256: string; readonly count: number; readonly atMs: number };

/**
 * Which version runs, and what came of the others. It is kept in the state directory, which whoever runs the agent can
 * write: nothing in it makes a version trusted, it only chooses among those that are signed.
 */
export type Course = {
  /** The version that is to run; null: the installed one. */
  readonly active: Version | null;
  /** What ran before it, and will again if it fails; null: the installed one. */
  readonly previous: Version | null;
  /** How often `active` was started on trial; null: it has shown that it reports. */
  readonly starts: number | null;
  /** It did not report, and whether that was its fault depends on whether the one before it does. */
  readonly suspect: Version | null;
  readonly failures: readonly Failure[];
};

export const NO_COURSE: Course = { active: null, previous: null, starts: null, suspect: null, failures: [] };

/** A version that was started so often without reporting is not started again: it ends at once, or hangs. */
export const STARTS_MAX = 2;
/** How long a version may run without reporting. */
export const TRIAL_MS = 600_000;
/** How soon the version before it must report to show that the other one was at fault, and not the way to the collector. */
export const CONTROL_MS = 120_000;
/** A version that failed is tried once more, a day later: the collector may have gone and come at the wrong moments. */
export const FAILURES_MAX = 2;
const RETRY_MS = 86_400_000;
/** Failures that are kept in mind, the newest; a version more comes with a release. */
const FAILURES_KEPT_MAX = 16;

/** What the installed version is to start, and what is to be written down before; null: it runs itself. */
export function chooseStart(
  course: Course,
  installed: string,
): { readonly course: Course; readonly run: Version | null } {
  const { active, starts } = course;
  if (active === null) return { course, run: null };
  // A package was installed meanwhile: it is at least as new.
  if (!isNewer(active.version, installed)) {
    return { course: { ...course, active: null, previous: null, starts: null }, run: null };
  }
  if (starts === null) return { course, run: active };
  if (starts >= STARTS_MAX) return chooseStart(goBack(course), installed);
  return { course: { ...course, starts: starts + 1 }, run: active };
}

/** Puts a version on trial. The one that runs now is the one to come back to. */
export function beginTrial(course: Course, active: Version): Course {
  return { ...course, active, previous: course.active, starts: 0, suspect: null };
}

/** The active version has reported: it stays. */
export function confirm(course: Course): Course {
  return { ...course, starts: null };
}

/** The active version has not reported: the one before it runs again, and shows whose fault it was. */
export function goBack(course: Course): Course {
  return { ...course, active: course.previous, previous: null, starts: null, suspect: course.active };
}

/** The active version cannot be used, through no fault of the version's: it may come again. */
export function drop(course: Course): Course {
  return { ...course, active: course.previous, previous: null, starts: null };
}

/** The suspect was at fault; or, where nothing got through afterwards either, nobody knows, and it may come again. */
export function judge(course: Course, isAtFault: boolean, nowMs: number): Course {
  const { suspect } = course;
  if (suspect === null) return course;
  return { ...(isAtFault ? fail(course, suspect.sha256, nowMs) : course), suspect: null };
}

/** Takes down that a version did not work. */
export function fail(course: Course, sha256: string, nowMs: number): Course {
  const count = (course.failures.find((failure) => failure.sha256 === sha256)?.count ?? 0) + 1;
  const others = course.failures.filter((failure) => failure.sha256 !== sha256);
  return { ...course, failures: [...others, { sha256, count, atMs: nowMs }].slice(-FAILURES_KEPT_MAX) };
}

/** Whether a version may be tried: by its content, so that one that was mended may be, whatever its name. */
export function mayTry({ failures }: Course, sha256: string, nowMs: number): boolean {
  const failure = failures.find((known) => known.sha256 === sha256);
  if (failure === undefined) return true;
  return failure.count < FAILURES_MAX && Math.abs(nowMs - failure.atMs) >= RETRY_MS;
}

/** What was written down. Damaged, it counts as nothing: the installed version runs. */
export function parseCourse(text: string): Course {
  try {
    const value: unknown = JSON.parse(text);
    if (!isRecord(value)) return NO_COURSE;
    const { starts, failures } = value;
    return {
      active: readVersion(value['active']),
      previous: readVersion(value['previous']),
      starts: Number.isSafeInteger(starts) ? Number(starts) : null,
      suspect: readVersion(value['suspect']),
      failures: Array.isArray(failures) ? failures.flatMap(readFailure).slice(-FAILURES_KEPT_MAX) : [],
    };
  } catch {
    return NO_COURSE;
  }
}

function readVersion(value: unknown): Version | null {
  if (!isRecord(value)) return null;
  const { version, sha256 } = value;
  return isText(version) && isText(sha256) ? { version, sha256 } : null;
}

function readFailure(value: unknown): Failure[] {
  if (!isRecord(value)) return [];
  const { sha256, count, atMs } = value;
  return isText(sha256) && Number.isSafeInteger(count) && Number.isFinite(atMs)
    ? [{ sha256, count: Number(count), atMs: Number(atMs) }]
    : [];
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}
