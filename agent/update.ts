import type { KeyObject } from 'node:crypto';
import { existsSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { describeError, type Log } from '@muster/proto/log';

import { openHttpClient, type HttpClient } from './http-client.ts';
import { lockState } from './lock.ts';
import { makeDirectory } from './make-directory.ts';
import { pause, type Schedule } from './schedule.ts';
import { openDepot, type Depot } from './update/depot.ts';
import { downloadRelease, fetchManifest } from './update/download.ts';
import { readInstalled, replaceByFetched, replaceByInstalled, type Program } from './update/program.ts';
import { isNewer, readManifest, type Release, type SignedManifest } from './update/release.ts';
import { runSelfTest } from './update/run-self-test.ts';
import {
  beginTrial,
  chooseStart,
  confirm,
  CONTROL_MS,
  drop,
  fail,
  goBack,
  judge,
  mayTry,
  TRIAL_MS,
  type Course,
} from './update/trial.ts';

/** An agent that has just started asks within this time, drawn, so that a fleet does not come at once. */
const FIRST_MS_MAX = 300_000;
/** The longest time between two checks, after some that fetched in vain. */
const CHECK_MS_MAX = 86_400_000;
/** Room that a download leaves on the disk: as much as the spool may need. */
const SPARE_BYTES = 256 * 1024 * 1024;
/** How long the end of a download is waited for: the disk may hang. */
const CLOSE_MS_MAX = 2_000;
/** One for all, kept between the manifest and the download. */
const CLIENT = { keepMs: 5_000, connections: 1 };
/** How long to wait before what could not be written down is tried again. */
const SAVE_MS = 60_000;

export type UpdateOptions = {
  readonly program: Program;
  readonly key: KeyObject;
  readonly url: string;
  readonly stateDirectory: string;
  /** About how often the collector is asked. */
  readonly everyMs: number;
  readonly log: Log;
  readonly now: () => number;
  readonly random: () => number;
  readonly schedule: Schedule;
  readonly spareBytes?: number;
};

export type StartOptions = Pick<UpdateOptions, 'program' | 'key' | 'stateDirectory' | 'log'>;

export type Update = {
  /** Resolves when the agent is to stop, so that another version can take its place. */
  readonly due: Promise<null>;
  /** The collector has acknowledged a batch. */
  readonly confirm: () => void;
  /** Looks for nothing more, and leaves no part of a download. */
  readonly close: () => Promise<void>;
  /**
   * The agent has ended, not because it was told to; `isBroken`: it cannot work. If there is cause to, another version
   * takes the place of this process.
   */
  readonly finish: (isBroken: boolean) => void;
};

/** What there is instead where nothing is updated. */
export const NO_UPDATE: Update = {
  due: new Promise(() => undefined),
  confirm: () => undefined,
  close: async () => undefined,
  finish: () => undefined,
};

type Updater = {
  readonly options: UpdateOptions;
  readonly depot: Depot;
  readonly closing: AbortSignal;
  readonly reported: AbortSignal;
  /** Resolves `due`. */
  readonly end: (value: null) => void;
  course: Course;
  /** What is to be written down when the agent has ended, before another version starts. */
  next: Course | null;
};

/**
 * At the start of the installed version, before anything else: the version that was fetched last takes the place of this
 * process, if it is newer, signed, whole, and not found bad. What is written down counts its starts while it is on trial,
 * before they begin.
 */
export function startNewest(options: StartOptions): void {
  const { program, stateDirectory, log } = options;
  if (readInstalled(program) !== null) return;
  const depot = openDepot(join(stateDirectory, 'update'));
  const known = depot.readCourse();
  if (known.active === null) return;
  if (statSync(stateDirectory).uid !== process.getuid?.()) return log.warn('update.unusable', { reason: OTHERS });
  try {
    // An agent that runs already has the say; opening ours will tell.
    const lock = lockState(stateDirectory);
    const { course, run } = choose(depot, known, options);
    try {
      if (course !== known) depot.writeCourse(course);
    } finally {
      lock.release();
    }
    if (run !== null) replaceByFetched(program, depot.pathOf(run));
  } catch (cause) {
    // Not written down, a start would not be counted, and a version that fails at once be started for ever.
    log.warn('update.unusable', { cause });
  }
}

/** The version to start, null for the installed one itself, having passed over what cannot be used. */
function choose(
  depot: Depot,
  known: Course,
  { program, key, log }: StartOptions,
): { readonly course: Course; readonly run: string | null } {
  let course = known;
  for (;;) {
    const choice = chooseStart(course, program.version);
    const { suspect } = choice.course;
    if (suspect !== null && suspect !== course.suspect)
      log.warn('update.silent', { version: suspect.version, next: GOES_BACK });
    if (choice.run === null) return { course: choice.course, run: null };
    const fault = findFault(depot, { ...choice.run, key, platform: program.platform });
    if (fault === null) return { course: choice.course, run: choice.run.version };
    log.warn('update.unusable', { version: choice.run.version, reason: fault });
    course = drop(choice.course);
  }
}

const OTHERS = 'the state directory belongs to another user: what lies there is not run as this one';
const AT_FAULT = 'it did not report, and the version before it does';
const GOES_BACK = 'the version before it runs again; it is tried once more, a day later, unless it was not at fault';

function findFault(depot: Depot, wanted: Parameters<Depot['check']>[0]): string | null {
  try {
    return depot.check(wanted);
  } catch (cause) {
    return describeError(cause);
  }
}

/**
 * Keeps the agent up to date from its collector: asks for a newer version about every `everyMs`, fetches it, lets it show
 * that it starts, and asks for the end of this one (`due`, `finish`). A version on trial that does not report in time asks
 * for its own. The agent goes on meanwhile, and nothing here can stop it.
 */
export function openUpdate(options: UpdateOptions): Update {
  const { program, stateDirectory, log } = options;
  const { promise: due, resolve: end } = Promise.withResolvers<null>();
  const closing = new AbortController();
  const reported = new AbortController();
  const depot = openDepot(join(stateDirectory, 'update'));
  const updater: Updater = {
    options,
    depot,
    closing: closing.signal,
    reported: reported.signal,
    end,
    course: matchCourse(depot.readCourse(), program),
    next: null,
  };
  const done = seeTo(updater).catch((cause: unknown) => log.error('update.ended', { cause }));
  return {
    due,
    confirm: () => reported.abort(),
    close: () => {
      closing.abort();
      const isLate = new AbortController();
      const late = pause(options.schedule, CLOSE_MS_MAX, isLate.signal);
      return Promise.race([done, late]).finally(() => isLate.abort());
    },
    finish: (isBroken) => {
      if (isBroken && isOnTrial(updater)) updater.next = goBack(updater.course);
      if (updater.next === null) return;
      try {
        depot.writeCourse(updater.next);
      } catch (cause) {
        // What ran until now runs again.
        log.warn('update.unsaved', { cause });
      }
      const installed = readInstalled(program) ?? program.path;
      if (existsSync(installed)) replaceByInstalled(program);
      else log.error('update.unusable', { reason: `the agent is not installed any more, at ${installed}` });
    },
  };
}

/** What is written down may be of another version than the one that runs, where the installed one could not start it. */
function matchCourse(course: Course, program: Program): Course {
  const isActive = readInstalled(program) !== null && course.active?.version === program.version;
  return isActive ? course : { ...course, active: null, previous: null, starts: null };
}

function isOnTrial({ course }: Updater): boolean {
  return course.active !== null && course.starts !== null;
}

async function seeTo(updater: Updater): Promise<void> {
  const { closing, reported, options } = updater;
  const { log, now, schedule, program } = options;
  const settled = AbortSignal.any([closing, reported]);
  if (isOnTrial(updater)) {
    await pause(schedule, TRIAL_MS, settled);
    if (closing.aborted) return;
    if (!reported.aborted) {
      log.warn('update.silent', { version: program.version, next: GOES_BACK });
      updater.next = goBack(updater.course);
      updater.end(null);
      return;
    }
    await save(updater, confirm(updater.course));
    log.info('update.confirmed', { version: program.version });
  } else if (updater.course.suspect !== null) {
    await pause(schedule, CONTROL_MS, settled);
    if (closing.aborted) return;
    if (reported.aborted) log.warn('update.failed', { version: updater.course.suspect.version, reason: AT_FAULT });
    await save(updater, judge(updater.course, reported.aborted, now()));
  }
  await runChecks(updater);
}

/** What cannot be written down, because the disk is full, is tried again; all else can wait for it. */
async function save(updater: Updater, course: Course): Promise<void> {
  const { depot, closing, options } = updater;
  updater.course = course;
  while (!closing.aborted) {
    try {
      depot.writeCourse(course);
      return;
    } catch (cause) {
      options.log.warn('update.unsaved', { cause });
      await pause(options.schedule, SAVE_MS, closing);
    }
  }
}

async function runChecks(updater: Updater): Promise<void> {
  const { options, closing, depot } = updater;
  const { everyMs, random, schedule, log } = options;
  const say = makeSay(log);
  let wasted = 0;
  let waitMs = random() * Math.min(FIRST_MS_MAX, everyMs);
  for (;;) {
    await pause(schedule, waitMs, closing);
    if (closing.aborted) return;
    const client = openHttpClient({ url: options.url }, CLIENT);
    // One for each check: what is made of a signal is kept as long as it lives, and the agent's lives for years.
    const controller = new AbortController();
    const stop = () => controller.abort();
    closing.addEventListener('abort', stop);
    try {
      depot.clean([updater.course.active, updater.course.previous]);
      const found = await findRelease(updater, { client, signal: controller.signal });
      wasted = found === null ? 0 : wasted + 1;
      if (found !== null && (await prepare(updater, found, { client, signal: controller.signal })))
        return updater.end(null);
      say('');
    } catch (cause) {
      say(describeError(cause));
    } finally {
      closing.removeEventListener('abort', stop);
      client.close();
    }
    waitMs = Math.min(CHECK_MS_MAX, everyMs * 2 ** wasted) * (0.5 + random());
  }
}

type Connection = { readonly client: HttpClient; readonly signal: AbortSignal };

/** Says why there is no update, once as long as it is the same. */
function makeSay(log: Log): (reason: string) => void {
  let said = '';
  return (reason) => {
    if (reason !== said && reason !== '') log.warn('update.waiting', { reason });
    said = reason;
  };
}

type Found = { readonly release: Release; readonly signed: SignedManifest };

/** What the collector has that is newer than this and may be tried. Throws when that cannot be found out. */
async function findRelease({ options, course }: Updater, { client, signal }: Connection): Promise<Found | null> {
  const { key, program, now } = options;
  const signed = await fetchManifest(client, signal);
  if (signed === null) return null;
  const read = readManifest(signed, key, program.platform);
  if (!read.ok) throw new Error(`Cannot use the manifest of the collector: ${read.error}`);
  const release = read.value;
  if (isNewer(program.version, release.version)) {
    throw new Error(
      `Cannot go back to an older version: the collector has ${release.version}, this is ${program.version}`,
    );
  }
  const isWanted = isNewer(release.version, program.version) && mayTry(course, release.sha256, now());
  return isWanted ? { release, signed } : null;
}

/** Fetches a release and lets it show that it starts; true when it is to take our place. */
async function prepare(updater: Updater, { release, signed }: Found, { client, signal }: Connection): Promise<boolean> {
  const { options, depot, course } = updater;
  const { program, log, stateDirectory } = options;
  const { version, sha256 } = release;
  const path = depot.pathOf(version);
  log.info('update.fetching', { version });
  makeDirectory(join(stateDirectory, 'update'));
  const to = { path: `${path}.tmp`, spareBytes: options.spareBytes ?? SPARE_BYTES, signal };
  await downloadRelease(client, release, to);
  depot.keepManifest(version, signed);
  renameSync(to.path, path);
  const fault = await runSelfTest(path, program.argv, signal);
  if (signal.aborted) return false;
  if (fault !== null) {
    log.warn('update.failed', { version, reason: fault });
    await save(updater, fail(course, sha256, options.now()));
    return false;
  }
  log.info('update.ready', { version });
  updater.next = beginTrial(course, { version, sha256 });
  return true;
}
