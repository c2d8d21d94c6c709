import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

import { formatLabels } from '@muster/proto/labels';
import { err, ok, type Result } from '@muster/proto/result';
import * as v from 'valibot';

import { codeOf } from '../code-of.ts';
import { makeIntake } from '../custom/intake.ts';
import { LIMIT_SETTING } from '../custom/listen.ts';
import type { Point } from '../custom/point.ts';
import { REFUSALS } from '../custom/refusal.ts';
import type { SeriesPool } from '../custom/series.ts';
import { remember } from '../remember.ts';
import { absolutePath } from '../settings.ts';
import type { Finding, Sample, Source } from '../source.ts';
import { parseExposition, type LineFault } from './textfile/parse.ts';
import { toPoints } from './textfile/points.ts';
import { ALL_BYTES_MAX, readFile } from './textfile/read-file.ts';

/** Not below the agent's own state, which only root can reach: jobs of other users are to be let in here (chown, setfacl). */
export const DIRECTORY_DEFAULT = '/var/lib/muster-textfile';
/** Files are written by jobs, every minute or every day. */
const EVERY_MS = 15_000;
/** More files are not looked at; each job has one. */
export const FILES_MAX = 100;
const NAME_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._@-]{0,100}\.prom$/;

export const TEXTFILE_SETTINGS = { ...LIMIT_SETTING, directory: v.optional(absolutePath) };

export type TextfileOptions = {
  readonly settings: { readonly limit?: number | undefined; readonly directory?: string | undefined };
  readonly pool: SeriesPool;
  readonly root: string;
  readonly now: () => number;
};

/** One file, as it was read last. */
type Known = {
  readonly version: string | null;
  readonly mtimeMs: number;
  readonly bytes: number;
  readonly points: readonly Point[];
  /** Of its text. */
  readonly faults: readonly LineFault[];
  /** Why there is nothing of it; null when there is. */
  readonly fault: string | null;
};

/** What is in the files of a directory, in the text format of Prometheus: what jobs that come and go have to say. */
export function makeTextfileSource({ settings, pool, root, now }: TextfileOptions): Source {
  const directory = join(root, settings.directory ?? DIRECTORY_DEFAULT);
  const keeper = pool.open('textfile', settings.limit);
  const intake = makeIntake(keeper);
  const labelsOf = remember((name) => formatLabels({ 'muster.file': name }));
  let files: Files = new Map();
  let findings: readonly Finding[] = [];

  return {
    name: 'textfile',
    everyMs: EVERY_MS,
    read: () => {
      const nowMs = now();
      const listed = listFiles(directory);
      if (!listed.ok) return listed;
      files = readAll(directory, listed.value.names, files);
      const owners = new Map([...files].flatMap(([name, { points }]) => points.map((point) => [point, name] as const)));
      const refused = intake.take([...owners.keys()], nowMs);
      const ages = [...files].flatMap(([name, { mtimeMs, fault }]): readonly Sample[] =>
        fault === null
          ? [{ metric: 'muster.agent.textfile.age', labels: labelsOf(name), value: ageOf(mtimeMs, nowMs) }]
          : [],
      );
      const faults = new Map([...files].map(([name, known]) => [name, [...known.faults]]));
      for (const { point, refusal } of refused)
        faults.get(owners.get(point) ?? '')?.push({ line: point.line ?? 0, fault: REFUSALS[refusal] });
      findings = describe(listed.value, files, faults);
      const { samples, remark, events } = keeper.report(nowMs);
      const told = intake.read(nowMs);
      const remarks = [remark, ...findings.slice(0, REMARKS_MAX).map(({ what }) => what)].filter((one) => one !== null);
      const own = files.size === 0 && told.length === 0 ? [] : samples;
      return ok({
        samples: [...told, ...ages, ...own],
        events,
        ...(remarks.length === 0 ? {} : { remark: remarks.join('; ') }),
      });
    },
    diagnose: async () => {
      const next = 'write a file beside it and rename it, so that it is never seen half written';
      if (!existsSync(directory)) {
        const make = `make it (install -d -m 755 ${directory}), and let those write there who have metrics to tell`;
        return [{ what: `it reads *.prom in ${directory}, which is not there`, next: make }];
      }
      const what = `it reads *.prom in ${directory}, ${files.size} now`;
      return files.size === 0 ? [{ what, next }] : [{ what }, ...findings];
    },
    close: async () => keeper.close(),
  };
}

/** So many faults are told in the log; `doctor` tells all. */
const REMARKS_MAX = 3;

/** A clock that was set back makes no file younger than now. */
function ageOf(mtimeMs: number, nowMs: number): number {
  return Math.max(0, Math.round(nowMs - mtimeMs) / 1000);
}

type Listed = { readonly names: readonly string[]; readonly leftOut: number };

/** Nothing where there is no directory. */
function listFiles(directory: string): Result<Listed, string> {
  try {
    const all = readdirSync(directory).filter((name) => name.endsWith('.prom') && !name.startsWith('.'));
    const names = all.filter((name) => NAME_PATTERN.test(name)).toSorted();
    return ok({ names: names.slice(0, FILES_MAX), leftOut: all.length - Math.min(names.length, FILES_MAX) });
  } catch (cause) {
    const code = codeOf(cause);
    if (code === 'ENOENT') return ok({ names: [], leftOut: 0 });
    return err(`${directory} cannot be read (${code}): make it a directory that the agent may read`);
  }
}

type Files = ReadonlyMap<string, Known>;

/** Those that have changed; `before` is what the others hold still. */
function readAll(directory: string, names: readonly string[], before: Files): Files {
  const files = new Map<string, Known>();
  let bytesLeft = ALL_BYTES_MAX;
  for (const name of names) {
    const file = readKnown(join(directory, name), before.get(name), bytesLeft);
    bytesLeft -= file.bytes;
    files.set(name, file);
  }
  return files;
}

function readKnown(path: string, known: Known | undefined, bytesLeft: number): Known {
  const read = readFile(path, { known: known?.version ?? null, bytesLeft });
  if (!read.ok) return { version: null, mtimeMs: 0, bytes: 0, points: [], faults: [], fault: read.error };
  if (read.value === null && known !== undefined) return known;
  const { version = null, mtimeMs = 0, bytes = 0, text = '' } = read.value ?? {};
  const { families, faults } = parseExposition(text);
  return { version, mtimeMs, bytes, points: toPoints(families), faults, fault: null };
}

function describe(
  { leftOut }: Listed,
  files: Files,
  faults: ReadonlyMap<string, readonly LineFault[]>,
): readonly Finding[] {
  const ofFiles = [...files].flatMap(([name, { fault }]): readonly Finding[] => {
    if (fault !== null) return [{ what: `${name}: ${fault}` }];
    return (faults.get(name) ?? [])
      .slice(0, FAULTS_TOLD_MAX)
      .map((one) => ({ what: `${name}:${one.line}: ${one.fault}` }));
  });
  if (leftOut === 0) return ofFiles;
  const what = `files not looked at: ${leftOut}, beyond ${FILES_MAX} or of a name that is no plain word`;
  return [...ofFiles, { what }];
}

/** Of one file. */
const FAULTS_TOLD_MAX = 10;
