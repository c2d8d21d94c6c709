import { connect as connectTcp, type Socket } from 'node:net';

import { err, ok, type Result } from '@muster/proto/result';

import { measure, type Address, type Failure, type Family, type Run } from './check.ts';
import { describeFault } from './failure.ts';
import { findAddresses, type Found } from './names.ts';

/** How long one of several addresses is waited for before the next one is tried, too (RFC 8305, section 5). */
const NEXT_ADDRESS_MS = 250;

/** Looks a host up and connects to it. The connection is gone when the run is over, whatever has become of it. */
export async function openConnection(
  { host, port }: Address,
  family: Family,
  run: Run,
): Promise<Result<Socket, Failure>> {
  const found = await measure(run, 'dns', () => findAddresses(host, family, run));
  return found.ok ? measure(run, 'connect', () => connectTo(found.value, port, run)) : found;
}

function connectTo(found: readonly Found[], port: number, run: Run): Promise<Result<Socket, Failure>> {
  return new Promise((resolve) => {
    const socket = connectTcp({
      host: found[0]?.address ?? '',
      port,
      ...(found.length === 1
        ? {}
        : {
            host: 'several',
            lookup: (_host, _options, answer) => answer(null, [...found]),
            autoSelectFamily: true,
            autoSelectFamilyAttemptTimeout: NEXT_ADDRESS_MS,
          }),
    });
    hold(socket, run);
    socket.once('connect', () => resolve(ok(socket)));
    socket.on('error', (cause) => resolve(err(describeFault(cause))));
  });
}

/**
 * Lets a connection end with the run. Only its outermost layer may be destroyed, which takes the others with it: Node
 * 22.23 dies of a segmentation fault when a socket is destroyed first and then the TLS that lies over it.
 */
export function hold(socket: Socket, { held, signal }: Run): void {
  held.socket = socket;
  if (signal.aborted) socket.destroy();
}
