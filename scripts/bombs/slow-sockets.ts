import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

import { STRANGERS_MAX } from '../../collector/http/strangers.ts';
import { countIn } from '../tally.ts';

/** What became of the bombs of one kind: `outcomes` by status, or `cut`, or `held`: open still at the end. */
export type Refusals = {
  readonly outcomes: Map<string, number>;
  /** From the end of a request to its answer; of slow sockets, from one too many to the end of the oldest. */
  readonly refusedMs: number[];
};

/** Connections that say a little, and then nothing more. */
export type SlowSockets = {
  /** Opens one; resolves when it is connected, or has failed. */
  readonly open: () => Promise<void>;
  /** Resolves when the next one is refused. */
  readonly nextRefusal: () => Promise<unknown>;
  /** Closes them all, and says what became of them. */
  readonly close: () => Refusals;
};

/** `refusal`: how sockets of this kind are refused, by an answer to each, or by a cut of the oldest. */
export function openSlowSockets(port: number, beginning: string, refusal: 'answer' | 'cut'): SlowSockets {
  const open = new Set<Socket>();
  const outcomes = new Map<string, number>();
  const connectionsMs: number[] = [];
  const cutsMs: number[] = [];
  const answersMs: number[] = [];
  let onRefusal = (): void => undefined;

  function end(socket: Socket, outcome: string): void {
    if (!open.delete(socket)) return;
    countIn(outcomes, outcome);
    onRefusal();
  }

  return {
    async open() {
      const socket = connect({ port, host: '127.0.0.1' });
      open.add(socket);
      // Before that it waits in the kernel, not with us.
      let connectedMs = performance.now();
      socket.once('connect', () => connectionsMs.push((connectedMs = performance.now())));
      socket.on('error', () => undefined); // 'close' follows
      socket.once('close', () => {
        if (open.has(socket)) cutsMs.push(performance.now());
        end(socket, 'cut');
      });
      // The answer is the refusal; that the connection is kept for a moment does not count.
      socket.once('data', (chunk: Buffer) => {
        answersMs.push(performance.now() - connectedMs);
        end(socket, chunk.toString('latin1', 9, 12));
      });
      socket.write(beginning);
      await Promise.race([once(socket, 'connect'), once(socket, 'close')]).catch(() => undefined);
    },
    nextRefusal: () =>
      new Promise<void>((resolve) => {
        onRefusal = resolve;
      }),
    close() {
      if (open.size > 0) outcomes.set('held', open.size);
      for (const socket of open) socket.removeAllListeners('close').destroy();
      // The oldest goes when one too many comes: as many later as there may be.
      const waitsMs = cutsMs.map((atMs, i) => Math.max(0, atMs - (connectionsMs[i + STRANGERS_MAX] ?? atMs)));
      return { outcomes, refusedMs: refusal === 'answer' ? answersMs : waitsMs };
    },
  };
}
