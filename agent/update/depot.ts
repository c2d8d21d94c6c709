import { createHash, type KeyObject } from 'node:crypto';
import { closeSync, existsSync, openSync, readdirSync, readSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { makeDirectory } from '../make-directory.ts';
import { readBytes, readText } from '../read-text.ts';
import { writeWhole } from '../state.ts';
import { readManifest, type SignedManifest } from './release.ts';
import { parseCourse, type Course, type Version } from './trial.ts';

/** What is hashed at once: a binary is not held in memory. */
const CHUNK_BYTES = 1024 * 1024;

/** The directory in which updates lie: each binary with the manifest that vouches for it, and which of them runs. */
export type Depot = {
  readonly readCourse: () => Course;
  readonly writeCourse: (course: Course) => void;
  /** Where the binary of a version is, or will be. */
  readonly pathOf: (version: string) => string;
  readonly keepManifest: (version: string, signed: SignedManifest) => void;
  /** What is wrong with the binary of a version, or null: it is there in full, and signed. Throws when it cannot be read. */
  readonly check: (wanted: Version & { readonly key: KeyObject; readonly platform: string }) => string | null;
  /** Removes everything but these versions. */
  readonly clean: (keep: readonly (Version | null)[]) => void;
};

export function openDepot(directory: string): Depot {
  const pathOf = (version: string): string => join(directory, `muster-agent-${version}`);
  const course = join(directory, 'course.json');
  return {
    readCourse: () => parseCourse(readText(course) ?? ''),
    writeCourse: (next) => {
      makeDirectory(directory);
      writeWhole(course, `${JSON.stringify(next)}\n`);
    },
    pathOf,
    keepManifest: (version, { manifest, signature }) => {
      writeWhole(`${pathOf(version)}.json`, manifest);
      writeWhole(`${pathOf(version)}.json.sig`, signature);
    },
    check: ({ version, sha256, key, platform }) => {
      const path = pathOf(version);
      if (!existsSync(path)) return 'it is not there';
      const manifest = readBytes(`${path}.json`);
      const signature = readBytes(`${path}.json.sig`).toString('latin1');
      const release = readManifest({ manifest, signature }, key, platform);
      if (!release.ok) return release.error;
      if (release.value.version !== version || release.value.sha256 !== sha256) return 'its manifest is of another';
      return hashFile(path) === sha256 ? null : 'its content is not what its manifest says';
    },
    clean: (keep) => {
      const kept = new Set([
        course,
        ...keep.flatMap((version) => (version === null ? [] : namesOf(pathOf(version.version)))),
      ]);
      for (const name of existsSync(directory) ? readdirSync(directory) : []) {
        const path = join(directory, name);
        if (!kept.has(path)) rmSync(path, { recursive: true, force: true });
      }
    },
  };
}

function namesOf(path: string): readonly string[] {
  return [path, `${path}.json`, `${path}.json.sig`];
}

function hashFile(path: string): string {
  const hash = createHash('sha256');
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  const file = openSync(path, 'r');
  try {
    for (let bytes = readSync(file, chunk); bytes > 0; bytes = readSync(file, chunk))
      hash.update(chunk.subarray(0, bytes));
  } finally {
    closeSync(file);
  }
  return hash.digest('hex');
}
