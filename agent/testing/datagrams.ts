import { closeSync, mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const AF_UNIX = 1;
const SOCK_DGRAM_NONBLOCK = 0o4002;
const DATAGRAM_BYTES = 4096;

type Call = (...values: readonly unknown[]) => number;

/** A service manager's end of the link: a socket for datagrams at a path, or at an abstract name, `@…`. */
export function openReceiver(kind: 'path' | 'abstract') {
  const directory = mkdtempSync(join(tmpdir(), 'muster-notify-'));
  const path = kind === 'path' ? join(directory, 'socket') : `@muster-test-${process.pid}`;
  const library = createRequire(import.meta.url)(
    `@koromix/koffi-linux-${process.arch}/linux_${process.arch}/koffi.node`,
  );
  const system = library.load(null);
  const socket: number = system.func('int socket(int, int, int)')(AF_UNIX, SOCK_DGRAM_NONBLOCK, 0);
  const name = Buffer.from(kind === 'path' ? `${path}\0` : `\0${path.slice(1)}`);
  const address = Buffer.concat([Buffer.from(new Uint16Array([AF_UNIX]).buffer), name]);
  const bind: Call = system.func('int bind(int, const uint8_t *, uint32_t)');
  if (bind(socket, address, address.byteLength) !== 0) throw new Error(`Cannot bind ${path}: ${library.errno()}`);
  const receive: Call = system.func('long recv(int, _Out_ uint8_t *, size_t, int)');
  const received: string[] = [];
  return {
    path,
    /** All that has come so far. */
    received: (): readonly string[] => {
      const buffer = Buffer.alloc(DATAGRAM_BYTES);
      for (;;) {
        const bytes = receive(socket, buffer, buffer.byteLength, 0);
        if (bytes < 0) return received;
        received.push(buffer.toString('utf8', 0, bytes));
      }
    },
    close: () => {
      closeSync(socket);
      rmSync(directory, { recursive: true });
    },
  };
}
