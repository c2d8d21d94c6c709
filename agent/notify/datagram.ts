import { closeSync, mkdtempSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { endianness, tmpdir } from 'node:os';
import { join } from 'node:path';
import { getAsset, isSea } from 'node:sea';

/** The asset of the executable that holds the library of this processor. */
export const LIBRARY_ASSET = 'koffi.node';

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

/** What is used of koffi: https://koffi.dev/. */
type Library = {
  readonly load: (path: null) => { readonly func: (prototype: string) => (...values: readonly unknown[]) => number };
  readonly errno: () => number;
};

/**
 * The library is a file that the linker must see. An executable brings it as an asset: it is put into a directory of its
 * own that nobody else can enter, and is gone from there as soon as it is loaded.
 */
function loadLibrary(directories: readonly string[]): Library {
  if (!isSea()) return open(findPackage());
  const faults: Error[] = [];
  for (const parent of [...directories, tmpdir()]) {
    try {
      const directory = mkdtempSync(join(parent, 'library-'));
      try {
        const file = join(directory, LIBRARY_ASSET);
        writeFileSync(file, new Uint8Array(getAsset(LIBRARY_ASSET)), { mode: 0o700 });
        return open(file);
      } finally {
        rmSync(directory, { recursive: true, force: true });
      }
    } catch (cause) {
      // A filesystem may be full, or mounted noexec.
      faults.push(new Error(`in ${parent}`, { cause }));
    }
  }
  throw new Error('Cannot load the library that makes sockets', { cause: faults[0] });
}

function findPackage(): string {
  return createRequire(import.meta.url).resolve(
    `@koromix/koffi-linux-${process.arch}/linux_${process.arch}/koffi.node`,
  );
}

function open(file: string): Library {
  const loaded: { exports: unknown } = { exports: {} };
  process.dlopen(loaded, file);
  return loaded.exports as Library; // what this pinned version exports
}
