import { closeSync } from 'node:fs';
import { join } from 'node:path';

import { counterRise } from '@muster/proto/metric';
import { err, ok, type Result } from '@muster/proto/result';

import { listDirectory } from '../../list-directory.ts';
import { tryText } from '../../read-text.ts';
import { TICKS_PER_SECOND } from '../ticks.ts';
import { addTo, type Group } from './group.ts';
import { lookAt, type Look } from './look.ts';
import { makeOwners } from './owner.ts';
import { readPageBytes } from './page.ts';
import { bytes, DENIED, FULL, openFile, readOpen, readStart } from './read-file.ts';
import { parseStat, type ProcessStat } from './stat.ts';

export const STATES = ['running', 'sleeping', 'blocked', 'idle', 'stopped', 'defunct'] as const;
export type State = (typeof STATES)[number];

/** Source: proc_pid_stat(5). A state that is not here (a kernel of tomorrow) counts as sleeping. */
const STATE_BY_LETTER: Readonly<Record<string, State>> = {
  R: 'running',
  S: 'sleeping',
  D: 'blocked',
  I: 'idle',
  T: 'stopped',
  t: 'stopped',
  Z: 'defunct',
  X: 'defunct',
  x: 'defunct',
};

export type TableReading = {
  readonly states: Readonly<Record<State, number>>;
  readonly threads: number;
  readonly groups: ReadonlyMap<string, Group>;
  /** False the first time: CPU and disk are known only of what lies between two readings. */
  readonly hasRates: boolean;
  /** Processes of which the disk I/O would have been read, and may not. */
  readonly disksDenied: number;
};

/** A process between two readings. */
type Process = {
  readonly startTicks: number;
  name: string;
  look: Look;
  cpuTicks: number;
  /** The last reading in which it did something. */
  activeAt: number;
  /** What it had read and written by the reading `diskAt`. */
  diskBytes: number;
  diskAt: number;
  isDiskDenied: boolean;
  seenAt: number;
};

/**
 * Owner, container and shared memory of a process are looked at when it is first seen, when its name changes (it has
 * executed another program), and once in so many readings: they are three files more.
 */
const LOOK_EVERY = 30;
/** The disk I/O of a process is read for so many readings after it last did something: who writes needs the CPU too. */
const ACTIVE_FOR = 6;
/** So many files are kept open, for to open one costs more than to read it; and no more than a part of what the agent may. */
const KEPT_MAX = 512;
const KEPT_RATIO_MAX = 0.25;
/** What the strictest systems allow. */
const DESCRIPTORS_USUAL = 1024;
/** Nothing can be said about less time than this. */
const ELAPSED_TICKS_MIN = 10;

export type TableOptions = { readonly root: string; readonly hasArguments: boolean };

export type ProcessTable = {
  readonly read: () => Result<TableReading, string>;
  readonly close: () => void;
};

/** Reads all processes, one file of each, and remembers what is needed to see what they did in between. */
export function makeProcessTable({ root, hasArguments }: TableOptions): ProcessTable {
  const directory = join(root, 'proc');
  const owners = makeOwners(root);
  const pageBytes = readPageBytes(root);
  const processes = new Map<number, Process>();
  const files = makeFiles(directory, Math.min(KEPT_MAX, Math.floor(readDescriptorsMax(root) * KEPT_RATIO_MAX)));
  const options = { hasArguments, nameOf: owners.nameOf, readFile: files.read };
  let readings = 0;
  let previousTicks = Number.NaN;

  /** What is known of a process, with a look at what is not, or not lately. Null when it is gone. */
  function find(pid: number, stat: ProcessStat, nowTicks: number): Process | null {
    const known = processes.get(pid);
    const isKnown = known?.startTicks === stat.startTicks;
    if (isKnown && known.name === stat.name && (pid + readings) % LOOK_EVERY !== 0) return known;
    const look = lookAt(`${directory}/${pid}`, stat, options);
    if (look === null) return null;
    if (isKnown) return Object.assign(known, { look, name: stat.name, isDiskDenied: false });
    // One that began after the last reading has done all that it ever did since then.
    const isBorn = stat.startTicks > previousTicks && stat.startTicks <= nowTicks + TICKS_PER_SECOND;
    const process = isBorn ? makeBorn(stat, look, readings) : makeFound(stat, look, readings);
    processes.set(pid, process);
    return process;
  }

  function read(): Result<TableReading, string> {
    const nowTicks = readUptimeTicks(root);
    if (nowTicks === null) {
      files.close(); // it may be for want of a descriptor
      return err('there is no proc/uptime, or it cannot be read');
    }
    readings += 1;
    owners.refresh();
    const elapsedTicks = nowTicks - previousTicks;
    const hasRates = elapsedTicks >= ELAPSED_TICKS_MIN;
    const states = { running: 0, sleeping: 0, blocked: 0, idle: 0, stopped: 0, defunct: 0 };
    const groups = new Map<string, Group>();
    const counts = { threads: 0, disksDenied: 0 };
    for (const entry of listDirectory(directory)) {
      if (!isPid(entry)) continue;
      const pid = Number(entry);
      const length = files.readStat(pid);
      const stat = length > 0 ? parseStat(bytes, length) : null;
      const process = stat === null ? null : find(pid, stat, nowTicks);
      if (stat === null || process === null) continue;
      process.seenAt = readings;
      const readIo = () => files.read(`${directory}/${entry}/io`);
      const { ticks, diskBytes } = measure(process, { stat, readings, readIo });
      states[STATE_BY_LETTER[stat.state] ?? 'sleeping'] += 1;
      counts.threads += stat.threads;
      if (process.isDiskDenied) counts.disksDenied += 1;
      addTo(groups, process.look.labels, {
        pid,
        startTicks: stat.startTicks,
        cpu: hasRates ? ticks / elapsedTicks : 0,
        disk: hasRates ? (diskBytes / elapsedTicks) * TICKS_PER_SECOND : 0,
        memory: stat.rssPages * pageBytes,
        sharedBytes: process.look.sharedPages * pageBytes,
      });
    }
    for (const [pid, { seenAt }] of processes) if (seenAt !== readings) processes.delete(pid);
    files.keepOnly(processes);
    previousTicks = nowTicks;
    return ok({ states, groups, hasRates, ...counts });
  }

  return { read, close: files.close };
}

/**
 * The files of processes, as many of them kept open as may be. When no descriptor is left, all are given back, and none is
 * kept until the next reading: others need some, too.
 */
function makeFiles(directory: string, keptMax: number) {
  const kept = new Map<number, number>();
  let isShort = false;

  function end(pid: number, descriptor: number): void {
    kept.delete(pid);
    closeSync(descriptor);
  }

  function close(): void {
    for (const [pid, descriptor] of kept) end(pid, descriptor);
  }

  function read(path: string): number {
    const length = readStart(path);
    if (length !== FULL) return length;
    isShort = true;
    close();
    return readStart(path);
  }

  return {
    read,
    readStat: (pid: number): number => {
      const known = kept.get(pid);
      if (known !== undefined) {
        const length = readOpen(known);
        if (length > 0) return length;
        end(pid, known); // it has ended; another one may have its number
      }
      const path = `${directory}/${pid}/stat`;
      const descriptor = isShort || kept.size >= keptMax ? FULL : openFile(path);
      if (descriptor === FULL) return read(path);
      if (descriptor < 0) return descriptor;
      kept.set(pid, descriptor);
      return readOpen(descriptor);
    },
    keepOnly: (pids: ReadonlyMap<number, unknown>): void => {
      for (const [pid, descriptor] of kept) if (!pids.has(pid)) end(pid, descriptor);
      isShort = false;
    },
    close,
  };
}

/** How many descriptors the agent may have; Node has made that as many as it can when it started. Source: proc_pid_limits(5). */
function readDescriptorsMax(root: string): number {
  const limit = /^Max open files +(\d{1,20}|unlimited) /m.exec(tryText(join(root, 'proc/self/limits')) ?? '')?.[1];
  return limit === 'unlimited' ? Infinity : Number(limit ?? DESCRIPTORS_USUAL);
}

function makeBorn({ name, startTicks }: ProcessStat, look: Look, readings: number): Process {
  const none = { cpuTicks: 0, diskBytes: 0, diskAt: readings - 1, isDiskDenied: false };
  return { name, startTicks, look, ...none, activeAt: readings, seenAt: readings };
}

/** Of one that was there before, its disk I/O is looked at once, to have what it is compared with when it does something. */
function makeFound({ name, startTicks, cpuTicks }: ProcessStat, look: Look, readings: number): Process {
  const none = { diskBytes: 0, diskAt: -1, isDiskDenied: false };
  return { name, startTicks, look, cpuTicks, ...none, activeAt: readings - ACTIVE_FOR, seenAt: readings };
}

type Moment = { readonly stat: ProcessStat; readonly readings: number; readonly readIo: () => number };

/** What a process did since the last reading, as far as that is known. */
function measure(process: Process, { stat, readings, readIo }: Moment) {
  const ticks = counterRise(process.cpuTicks, stat.cpuTicks) ?? 0;
  process.cpuTicks = stat.cpuTicks;
  if (ticks > 0 || stat.state === 'D') process.activeAt = readings;
  const isActive = readings - process.activeAt <= ACTIVE_FOR && !process.isDiskDenied;
  return { ticks, diskBytes: isActive ? countDisk(process, readIo(), readings) : 0 };
}

/** What may not be read is not tried again each time. */
function countDisk(process: Process, length: number, readings: number): number {
  process.isDiskDenied = length === DENIED;
  const diskBytes = length > 0 ? parseDiskBytes(bytes.toString('latin1', 0, length)) : null;
  if (diskBytes === null) return 0;
  const rise = process.diskAt === readings - 1 ? counterRise(process.diskBytes, diskBytes) : null;
  process.diskBytes = diskBytes;
  process.diskAt = readings;
  return rise ?? 0;
}

function isPid(entry: string): boolean {
  const first = entry.charCodeAt(0);
  return first > 0x30 && first <= 0x39 && /^\d{1,10}$/.test(entry);
}

/** Source: proc(5), /proc/PID/io: what was fetched from the disks, and what was written to be stored there. */
export function parseDiskBytes(text: string): number | null {
  const read = /^read_bytes: (\d{1,20})\n/m.exec(text)?.[1];
  const written = /^write_bytes: (\d{1,20})\n/m.exec(text)?.[1];
  return read === undefined || written === undefined ? null : Number(read) + Number(written);
}

/** The clock in which the starts of processes are told. */
function readUptimeTicks(root: string): number | null {
  const seconds = /^(\d{1,12}\.\d\d) /.exec(tryText(join(root, 'proc/uptime')) ?? '')?.[1];
  return seconds === undefined ? null : Math.round(Number(seconds) * TICKS_PER_SECOND);
}
