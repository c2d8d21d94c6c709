import { createHash, randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  fchmodSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';

import { isRecord } from '@muster/proto/record';

import { makeDirectory } from './make-directory.ts';
import { readText } from './read-text.ts';
import type { Keep } from './rebase.ts';

/** Who this host is to its collector. `token` is a secret. */
export type Identity = { readonly host: string; readonly token: string };

/** More than an identity takes. */
const IDENTITY_BYTES = 1024;

/** Makes the directory if need be, for nobody but this user: it holds the host's token. */
export function makeStateDirectory(directory: string): void {
  try {
    makeDirectory(directory);
  } catch (cause) {
    const next = 'make it, for the user of the agent, or name another one by --state';
    throw new Error(`Cannot use the state directory ${directory}: ${next}`, { cause });
  }
}

/**
 * Makes room for the identity, and throws when nothing can be kept in the directory. An enrolment token counts once:
 * find that out before it is used, and let nothing else take the room meanwhile.
 */
export function reserveIdentity(directory: string): void {
  try {
    writeDurably(join(directory, 'identity.json.tmp'), ' '.repeat(IDENTITY_BYTES));
  } catch (cause) {
    throw cannotKeep(directory, cause);
  }
}

function cannotKeep(directory: string, cause: unknown): Error {
  const next = 'make it writable, or room on its disk, or name another one by --state';
  return new Error(`Cannot keep an identity in ${directory}: ${next}`, { cause });
}

/** The identity that an earlier enrolment left, or null. One that cannot be read throws: it is not overwritten. */
export function readIdentity(directory: string): Identity | null {
  const path = join(directory, 'identity.json');
  const text = readIdentityText(path);
  if (text === null) return null;
  const identity = parseIdentity(text);
  if (identity === null) throw new Error(`Cannot use ${path}: it is damaged; remove it to enrol again`);
  return identity;
}

function readIdentityText(path: string): string | null {
  try {
    return readText(path);
  } catch (cause) {
    throw new Error(`Cannot use ${path}: make it readable for the user of the agent, or remove it to enrol again`, {
      cause,
    });
  }
}

export function parseIdentity(text: string): Identity | null {
  try {
    const value: unknown = JSON.parse(text);
    if (!isRecord(value)) return null;
    const { host, token } = value;
    if (typeof host !== 'string' || typeof token !== 'string') return null;
    return host === '' || token === '' ? null : { host, token };
  } catch {
    return null;
  }
}

export function writeIdentity(directory: string, identity: Identity, disk = DISK): void {
  writeWhole(join(directory, 'identity.json'), `${JSON.stringify(identity)}\n`, disk);
}

/** The calls whose order decides what a power cut leaves. */
type Disk = { readonly fsync: (file: number) => void; readonly rename: (from: string, to: string) => void };
const DISK: Disk = { fsync: fsyncSync, rename: renameSync };

/**
 * The machine's own id, hashed, because machine-id(5) asks not to show it on the network. A machine without one gets a
 * random one, kept in the state directory.
 */
export function readMachine(root: string, directory: string): string {
  const id = readText(join(root, 'etc/machine-id'))?.trim() ?? '';
  return hashMachine(/^[0-9a-f]{32}$/.test(id) ? id : readOwnMachineId(directory));
}

export function hashMachine(machineId: string): string {
  return createHash('sha256').update(`muster:${machineId}`).digest('hex');
}

function readOwnMachineId(directory: string): string {
  const path = join(directory, 'machine-id');
  const known = readText(path)?.trim() ?? '';
  if (known !== '') return known;
  const made = randomBytes(16).toString('hex');
  try {
    writeWhole(path, `${made}\n`);
  } catch (cause) {
    throw cannotKeep(directory, cause);
  }
  return made;
}

/** `known`: the boot that was kept last, if any. */
export type Boot = { readonly bootId: string; readonly known: string | null };

/** The machine's present boot, or null when it is the one that was kept, or the kernel does not tell it. */
export function readNewBoot(root: string, directory: string): Boot | null {
  const bootId = readText(join(root, 'proc/sys/kernel/random/boot_id'))?.trim() ?? '';
  const known = readText(join(directory, 'boot-id'))?.trim() ?? '';
  return bootId === '' || bootId === known ? null : { bootId, known: known === '' ? null : known };
}

export function writeBoot(directory: string, { bootId }: Boot): void {
  writeWhole(join(directory, 'boot-id'), `${bootId}\n`);
}

/** Keeps a little for a source. It is worth no more than that: what cannot be read or written is as if it were not there. */
export function keepIn(directory: string, source: string): Keep {
  const path = join(directory, `${source}.json`);
  return {
    read: () => {
      try {
        return JSON.parse(readText(path) ?? 'null');
      } catch {
        return null;
      }
    },
    write: (value) => {
      try {
        writeWhole(path, `${JSON.stringify(value)}\n`);
      } catch {
        // As said above.
      }
    },
  };
}

/**
 * A reader sees the old file or the new one, never a part. So does one after a power cut: the text is on the disk before
 * it gets its name, and the name before this returns.
 */
export function writeWhole(path: string, text: string | Uint8Array, disk = DISK): void {
  writeDurably(`${path}.tmp`, text, disk);
  disk.rename(`${path}.tmp`, path);
  const directory = openSync(dirname(path), 'r');
  try {
    disk.fsync(directory);
  } finally {
    closeSync(directory);
  }
}

/** Makes a file of this text, for this user only. */
function writeDurably(path: string, text: string | Uint8Array, { fsync } = DISK): void {
  // A pipe in its place is not waited for.
  const file = openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_NONBLOCK, 0o600);
  try {
    fchmodSync(file, 0o600); // one that is left over may be readable by others
    const bytes = typeof text === 'string' ? Buffer.from(text) : text;
    writeFileSync(file, bytes); // from where the file stands, all of it
    // Only now cut to its length, so that the room that is reserved is not given back in between.
    ftruncateSync(file, bytes.byteLength);
    fsync(file);
  } finally {
    closeSync(file);
  }
}
