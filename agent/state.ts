import { createHash, randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  fchmodSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';

import { isRecord } from '@muster/proto/record';

import { readText } from './read-text.ts';

/** Who this host is to its collector. `token` is a secret. */
export type Identity = { readonly host: string; readonly token: string };

/** More than an identity takes. */
const IDENTITY_BYTES = 1024;

/** Makes the directory if need be, for nobody but this user: it holds the host's token. */
export function makeStateDirectory(directory: string): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
}

/**
 * Makes room for the identity, and throws when nothing can be kept in the directory. An enrolment token counts once:
 * find that out before it is used, and let nothing else take the room meanwhile.
 */
export function reserveIdentity(directory: string): void {
  try {
    writeFileSync(join(directory, 'identity.json.tmp'), ' '.repeat(IDENTITY_BYTES), { mode: 0o600, flush: true });
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
  const text = readText(path);
  if (text === null) return null;
  const identity = parseIdentity(text);
  if (identity === null) throw new Error(`Cannot use ${path}: it is damaged; remove it to enrol again`);
  return identity;
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

export function writeIdentity(directory: string, identity: Identity): void {
  writeWhole(join(directory, 'identity.json'), `${JSON.stringify(identity)}\n`);
}

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

/**
 * A reader sees the old file or the new one, never a part. So does one after a power cut: the text is on the disk before
 * it gets its name, and the name before this returns.
 */
function writeWhole(path: string, text: string): void {
  const temporary = `${path}.tmp`;
  // Written before it is cut to its length, so that the room that is reserved is not given back in between.
  const file = openSync(temporary, constants.O_WRONLY | constants.O_CREAT, 0o600);
  try {
    fchmodSync(file, 0o600); // one that is left over may be readable by others
    const bytes = Buffer.from(text);
    writeFileSync(file, bytes); // from where the file stands, all of it
    ftruncateSync(file, bytes.byteLength);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
  const directory = openSync(dirname(path), 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}
