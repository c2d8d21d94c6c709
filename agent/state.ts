import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { isRecord } from '@muster/proto/record';

import { readText } from './read-text.ts';

/** Who this host is to its collector. `token` is a secret; `url` is where it was given. */
export type Identity = { readonly host: string; readonly token: string; readonly url: string };

/** Makes the directory if need be, for nobody but this user: it holds the host's token. */
export function makeStateDirectory(directory: string): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
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
    const { host, token, url } = value;
    if (typeof host !== 'string' || typeof token !== 'string' || typeof url !== 'string') return null;
    return host === '' || token === '' ? null : { host, token, url };
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
  writeWhole(path, `${made}\n`);
  return made;
}

/** Whether the machine was started since this was asked last. The first time nobody knows, and the answer is no. */
export function noticeBoot(root: string, directory: string): boolean {
  const path = join(directory, 'boot-id');
  const bootId = readText(join(root, 'proc/sys/kernel/random/boot_id'))?.trim() ?? '';
  const known = readText(path)?.trim() ?? '';
  if (bootId === '' || bootId === known) return false;
  writeWhole(path, `${bootId}\n`);
  return known !== '';
}

/** A reader, and a crash, sees the old file or the new one, never a part. */
function writeWhole(path: string, text: string): void {
  const temporary = `${path}.tmp`;
  writeFileSync(temporary, text, { mode: 0o600 });
  renameSync(temporary, path);
}
