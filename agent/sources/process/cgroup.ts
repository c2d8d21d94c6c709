import { splitLines } from '../../read-text.ts';

/** Where a process belongs: in a container, by its id or name, or else to a unit of systemd. */
export type Place = { readonly container: string | null; readonly unit: string | null };

export const NOWHERE: Place = { container: null, unit: null };

/** As `docker ps` shows an id. */
const ID_LENGTH = 12;

/**
 * Engines name a container's group after its id of 64 digits, some with their own name before it and `.scope` behind:
 * docker-…, libpod-…, cri-containerd-…, crio-…. What watches over a container (conmon) is called so too and is not in it.
 */
const BY_ID = /^(?:.*[-:])?([0-9a-f]{64})(?:\.scope)?$/;
const WATCHER = /conmon/;
/** LXC: /lxc.payload.NAME, /lxc.payload/NAME, /lxc/NAME. systemd-nspawn: machine-NAME.scope, systemd-nspawn@NAME.service. */
const BY_NAME = /^(?:lxc\.payload\.|systemd-nspawn@|machine-(?!qemu|lxc))(.+?)(?:\.scope|\.service)?$/;
const LXC_PARENT = /^lxc(?:\.payload)?$/;

/**
 * Reads `/proc/PID/cgroup`, of cgroup v1, v2 and both at once. Source: cgroups(7): `number:controllers:path`.
 *
 * Of containers in containers the outermost counts, which is the one that this host knows.
 */
export function parsePlace(text: string): Place {
  let unit: string | null = null;
  for (const line of splitLines(text)) {
    const second = line.indexOf(':', line.indexOf(':') + 1);
    if (second < 0) continue;
    const parts = line.slice(second + 1).split('/');
    const container = findContainer(parts);
    if (container !== null) return { container, unit: null };
    // With v1 the hierarchy of systemd says it best, and others may leave it out; all agree on what they say.
    unit ??= findUnit(parts);
  }
  return { container: null, unit };
}

function findContainer(parts: readonly string[]): string | null {
  for (const [index, part] of parts.entries()) {
    const id = BY_ID.exec(part)?.[1];
    if (id !== undefined && !WATCHER.test(part)) return id.slice(0, ID_LENGTH);
    const name = BY_NAME.exec(part)?.[1] ?? (LXC_PARENT.test(parts[index - 1] ?? '') ? part : '');
    if (name !== '') return unescapeUnit(name);
  }
  return null;
}

/** systemd writes a byte that may not stand in a unit's name as `\x2d`. Source: systemd.unit(5). */
function unescapeUnit(name: string): string {
  return name.replaceAll(/\\x([0-7][0-9a-f])/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

/** The unit that systemd itself started, below its slices; what a user's own manager starts is the user's. */
function findUnit(parts: readonly string[]): string | null {
  const unit = parts.find((part) => /\.(service|scope|socket|mount|swap)$/.test(part));
  return unit === undefined ? null : withoutNumbers(unit);
}

const UUID_OR_ID = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{12,}/g;

/**
 * Units that are made once for each session, connection, crash or command bear a number, and would be new ones for
 * ever: session-12.scope, run-u7.service, sshd@3-10.0.0.1:22-10.0.0.2:4711.service, systemd-coredump@1-815-0.service.
 */
export function withoutNumbers(unit: string): string {
  return unit
    .replace(/^session-c?\d+\./, 'session-*.')
    .replace(/^run-(?:[rupi\d][0-9a-fpi-]*)\./, 'run-*.')
    .replace(/^machine-qemu\\x2d\d+\\x2d/, 'machine-qemu\\x2d*\\x2d')
    .replace(/@[\da-f.:]+-[\da-f.:]+-[\da-f.:-]+\.service$/, '@*.service')
    .replaceAll(UUID_OR_ID, '*');
}
