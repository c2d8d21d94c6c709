import { readdirSync, readlinkSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import { join } from 'node:path';

import { toPlainText } from './plain-text.ts';
import { parseCount, readText, splitLines } from './read-text.ts';

/** TASK_COMM_LEN of the kernel. */
const NAME_LENGTH_MAX = 16;

/** A socket that is bound, as /proc/net has it. */
export type BoundSocket = {
  /** As the kernel writes it: 8 hexadecimal digits, or 32. */
  readonly addressHex: string;
  readonly port: number;
  readonly inode: string;
  readonly drops: number;
};

export type Protocol = 'tcp' | 'udp';

/** TCP_LISTEN and, for UDP, TCP_CLOSE (include/net/tcp_states.h); 01 is a UDP socket that is connected. */
const STATES: Readonly<Record<Protocol, ReadonlySet<string>>> = { tcp: new Set(['0A']), udp: new Set(['07', '01']) };

/** The sockets that are bound to a port, of both families. Nothing where the kernel does not say. */
export function readBoundSockets(root: string, protocol: Protocol): readonly BoundSocket[] {
  return [protocol, `${protocol}6`].flatMap((file) =>
    parseBoundSockets(readOrNothing(join(root, 'proc/net', file)), protocol),
  );
}

/** Source: kernel documents networking/proc_net_tcp, and net/ipv4/udp.c, udp4_format_sock, whose last column is the drops. */
export function parseBoundSockets(text: string, protocol: Protocol): BoundSocket[] {
  return splitLines(text).flatMap((line) => {
    const fields = line.trim().split(/\s+/);
    const [, addressHex, port] = /^((?:[0-9A-F]{8}){1,4}):([0-9A-F]{4})$/.exec(fields[1] ?? '') ?? [];
    const inode = fields[9];
    if (addressHex === undefined || port === undefined || inode === undefined || !STATES[protocol].has(fields[3] ?? ''))
      return [];
    const drops = protocol === 'udp' ? (parseCount(fields.at(-1)) ?? 0) : 0;
    return [{ addressHex, port: Number.parseInt(port, 16), inode, drops }];
  });
}

/**
 * Whether a socket is bound to just this address; of IPv6 in its shortest form. The kernel writes each 32 bits of it as a
 * number of the machine, and all that we run on begin with the least byte.
 */
export function isBoundTo({ addressHex }: BoundSocket, address: string): boolean {
  const bytes = (addressHex.match(/.{8}/g) ?? []).flatMap((word) => (word.match(/../g) ?? []).toReversed());
  if (bytes.length === 4) return bytes.map((byte) => Number.parseInt(byte, 16)).join('.') === address;
  const groups = (bytes.join('').match(/.{4}/g) ?? []).join(':');
  const [plain] = address.split('%', 1);
  return isIPv6(address) && new URL(`http://[${groups}]`).hostname === new URL(`http://[${plain}]`).hostname;
}

/**
 * Who holds a port, in a few words: `node (process 123)`. Null when nobody can be seen to: the process of another user
 * shows its sockets to root only.
 */
export function findPortHolder(root: string, protocol: Protocol, port: number): string | null {
  const inodes = readBoundSockets(root, protocol).filter((socket) => socket.port === port);
  const links = new Set(inodes.map(({ inode }) => `socket:[${inode}]`));
  if (links.size === 0) return null;
  for (const pid of list(join(root, 'proc')).filter((name) => /^\d+$/.test(name))) {
    const directory = join(root, 'proc', pid, 'fd');
    if (!list(directory).some((name) => links.has(readLink(join(directory, name))))) continue;
    const name = readName(join(root, 'proc', pid, 'comm'));
    return `${name} (process ${pid})`;
  }
  return null;
}

function list(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function readLink(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

/** A process names itself as it likes. */
function readName(path: string): string {
  return toPlainText(readOrNothing(path).trim(), NAME_LENGTH_MAX);
}

function readOrNothing(path: string): string {
  try {
    return readText(path) ?? '';
  } catch {
    return '';
  }
}
