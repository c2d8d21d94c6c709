import { createServer, type AddressInfo } from 'node:net';

/** A port that nobody listens on right now, for programs that cannot be told to take any. */
export function findFreePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo; // it listens on a port, not a path
      server.close(() => resolve(port));
    });
  });
}
