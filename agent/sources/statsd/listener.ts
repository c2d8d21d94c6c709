import type { Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';

import type { Allowance } from '../../custom/allowance.ts';
import type { Listener } from '../../custom/keep-listening.ts';
import { toFault, type Fault } from '../../custom/listen.ts';

/** What the system and Node take for one packet before anybody looks at it: measured, 3.7 µs. */
const PACKET_MS = 0.0037;
/** What may wait in the kernel while the agent does other things; it gives as much of it as it is set to. */
const QUEUE_BYTES = 1024 * 1024;
/** Nobody sends from this port (discard, RFC 863), and who does is nobody we know. */
const NOBODY_PORT = 9;

export type ListenerOptions = {
  readonly address: string;
  readonly port: number;
  /** What packets may take: a flood costs no more, whatever it holds. */
  readonly allowance: Allowance;
  readonly onPacket: (packet: Buffer) => void;
  /** With each packet that it does not look at. */
  readonly onSkip: () => void;
  /** Nobody listens from now on until `false`: what comes meanwhile the kernel turns away. */
  readonly onDeaf: (isDeaf: boolean) => void;
  readonly nowMs: () => number;
};

/**
 * Listens on a UDP port, and spends no more on packets than it may. In a window in which they have cost their share it
 * stops hearing, by connecting the socket to nobody: then the kernel turns packets away before they cost anything, and the
 * port stays ours. Whatever fails closes the socket.
 */
export async function openListener(options: ListenerOptions): Promise<Listener> {
  const { address, port, allowance, onPacket, onSkip, onDeaf, nowMs } = options;
  const { createSocket } = process.getBuiltinModule('node:dgram'); // for those who switch it on
  const socket = createSocket({ type: isIPv6(address) ? 'udp6' : 'udp4' });
  let isDeaf = false;
  let fault: Fault | null = null;
  let timer: NodeJS.Timeout | undefined;
  let closed: Promise<void> | null = null;

  function close(): Promise<void> {
    clearTimeout(timer);
    closed ??= new Promise((resolve) => void socket.close(resolve));
    return closed;
  }

  function fail(cause: unknown): void {
    fault ??= toFault(cause);
    if (isDeaf) onDeaf(false);
    isDeaf = false;
    void close();
  }

  function deafen(): void {
    isDeaf = true;
    socket.connect(NOBODY_PORT, address, (cause?: Error) => {
      if (cause !== undefined) return fail(cause);
      onDeaf(true);
      timer = setTimeout(hear, allowance.leftMs());
    });
  }

  function hear(): void {
    try {
      socket.disconnect();
    } catch (cause) {
      return fail(cause);
    }
    isDeaf = false;
    onDeaf(false);
  }

  socket.on('message', (packet) => {
    if (isDeaf) return onSkip(); // it was in the queue already
    const startedMs = nowMs();
    onPacket(packet);
    allowance.spend(nowMs() - startedMs + PACKET_MS);
    if (allowance.isSpent()) deafen();
  });
  socket.on('error', fail);
  await bind(socket, { port, address });
  return { fault: () => fault, close };
}

/** Resolves when it is bound, or has failed, of which `error` tells. */
async function bind(socket: Socket, address: { readonly port: number; readonly address: string }): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => resolve();
    socket.once('error', end);
    socket.bind({ ...address, exclusive: true }, () => {
      socket.off('error', end);
      try {
        socket.setRecvBufferSize(QUEUE_BYTES);
      } catch {
        // The queue is as large as it was.
      }
      resolve();
    });
  });
}
