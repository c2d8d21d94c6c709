import type { Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';

import { describeError } from '@muster/proto/log';

import { makeAllowance } from '../../custom/allowance.ts';

/** The share of a core that packets may take; a flood costs no more, whatever it holds. */
const CPU_RATIO_MAX = 0.05;
const WINDOW_MS = 1_000;
/** What the system and Node take for one packet before anybody looks at it: measured, 3.7 µs. */
const PACKET_MS = 0.0037;
/** What may wait in the kernel while the agent does other things; it gives as much of it as it is set to. */
const QUEUE_BYTES = 1024 * 1024;
/** Nobody sends from this port (discard, RFC 863), and who does is nobody we know. */
const NOBODY_PORT = 9;

export type ListenerOptions = {
  readonly address: string;
  readonly port: number;
  readonly onPacket: (packet: Buffer) => void;
  /** Nobody listens from now on until `false`: what comes meanwhile the kernel turns away. */
  readonly onDeaf: (isDeaf: boolean) => void;
  readonly nowMs: () => number;
};

/** A UDP socket that spends no more on packets than it may. */
export type Listener = {
  readonly packets: () => number;
  /** Of those, how many it did not look at. */
  readonly skipped: () => number;
  /** Why it does not listen; null when it does. */
  readonly fault: () => { readonly code: string; readonly message: string } | null;
  /** Where it listens; null when it does not. */
  readonly port: () => number | null;
  readonly close: () => Promise<void>;
};

/**
 * Listens on a UDP port. In a second in which packets have cost their share it stops hearing, by connecting the socket to
 * nobody: then the kernel turns packets away before they cost anything, and the port stays ours.
 */
export async function openListener(options: ListenerOptions): Promise<Listener> {
  const { address, port, onPacket, onDeaf, nowMs } = options;
  const allowance = makeAllowance({ windowMs: WINDOW_MS, cpuRatioMax: CPU_RATIO_MAX, nowMs });
  const { createSocket } = process.getBuiltinModule('node:dgram'); // for those who switch it on
  const socket = createSocket({ type: isIPv6(address) ? 'udp6' : 'udp4' });
  let packets = 0;
  let skipped = 0;
  let fault: ReturnType<Listener['fault']> = null;
  let timer: NodeJS.Timeout | null = null;

  function deafen(): void {
    socket.connect(NOBODY_PORT, address, () => onDeaf(true));
    timer = setTimeout(() => {
      timer = null;
      try {
        socket.disconnect();
      } catch (cause) {
        fault = describe(cause); // connecting has failed, of which `error` tells
      }
      onDeaf(false);
    }, allowance.leftMs());
  }

  socket.on('message', (packet) => {
    const startedMs = nowMs();
    packets += 1;
    if (timer !== null) {
      skipped += 1; // it was in the queue already
      return;
    }
    onPacket(packet);
    allowance.spend(nowMs() - startedMs + PACKET_MS);
    if (allowance.isSpent()) deafen();
  });
  fault = await bind(socket, { port, address });
  socket.on('error', (cause) => {
    fault = describe(cause);
  });
  let isClosed = fault !== null;
  if (isClosed) socket.close();
  return {
    packets: () => packets,
    skipped: () => skipped,
    fault: () => fault,
    port: () => (fault === null ? socket.address().port : null),
    close: async () => {
      if (timer !== null) clearTimeout(timer);
      // One that has failed since holds its port still.
      if (isClosed) return;
      isClosed = true;
      await new Promise<void>((resolve) => socket.close(resolve));
    },
  };
}

/** Null when it is bound. */
async function bind(
  socket: Socket,
  address: { readonly port: number; readonly address: string },
): Promise<ReturnType<Listener['fault']>> {
  return new Promise((resolve) => {
    const fail = (cause: Error): void => resolve(describe(cause));
    socket.once('error', fail);
    socket.bind({ ...address, exclusive: true }, () => {
      socket.off('error', fail);
      try {
        socket.setRecvBufferSize(QUEUE_BYTES);
      } catch {
        // The queue is as large as it was.
      }
      resolve(null);
    });
  });
}

function describe(cause: unknown): { readonly code: string; readonly message: string } {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  return { code, message: describeError(cause) };
}
