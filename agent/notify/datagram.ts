import { closeSync, writeSync } from 'node:fs';
import { endianness } from 'node:os';

import { loadLibrary } from '../library.ts';

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
/** Of sockaddr_un, unix(7): the text and what ends it. */
const PATH_BYTES_MAX = 108;

export type Datagrams = { readonly send: (text: string) => void; readonly close: () => void };

/**
 * Connects to a socket for datagrams at a path, or, behind an `@`, at an abstract name. Node has none of its own. So a
 * library that calls C functions makes the socket; from then on it is a file to which Node writes, and a write is a
 * datagram. One that would have to wait throws.
 */
export function connectDatagrams(path: string, directories: readonly string[]): Datagrams {
  const address = encodeAddress(path);
  const library = loadLibrary(directories);
  const system = library.load(null);
  const makeSocket = system.func('int socket(int, int, int)');
  const connect = system.func('int connect(int, const uint8_t *, uint32_t)');
  const socket = makeSocket(AF_UNIX, SOCK_DGRAM + SOCK_NONBLOCK + SOCK_CLOEXEC, 0);
  if (socket < 0) throw new Error(`Cannot make a socket: errno ${library.errno()}`);
  if (connect(socket, address, address.byteLength) !== 0) {
    const errno = library.errno();
    closeSync(socket);
    throw new Error(`Cannot connect to ${path}: errno ${errno}`);
  }
  return { send: (text) => void writeSync(socket, text), close: () => closeSync(socket) };
}

/** struct sockaddr_un, unix(7): an abstract name begins with a null byte and ends with the address. */
function encodeAddress(path: string): Buffer {
  const name = Buffer.from(path.startsWith('@') ? `\0${path.slice(1)}` : `${path}\0`);
  if (!/^[/@]./s.test(path) || name.byteLength > PATH_BYTES_MAX)
    throw new Error(`Cannot connect to ${path}: it must be a path or @name of ${PATH_BYTES_MAX - 1} bytes at most`);
  const family = Buffer.alloc(2);
  if (endianness() === 'LE') family.writeUInt16LE(AF_UNIX);
  else family.writeUInt16BE(AF_UNIX);
  return Buffer.concat([family, name]);
}
