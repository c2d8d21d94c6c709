import { once } from 'node:events';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** What may be on the way; beyond it the sender is made to wait, as by a full pipe. */
const LINE_BYTES_MAX = 1024 * 1024;
/** A throttled line writes so often: smooth enough for whoever measures it, and few timers. */
const SLICES_PER_SECOND = 20;

export type DelayLineOptions = {
  readonly from: Socket;
  readonly to: Socket;
  readonly delayMs: number;
  /** 0: as fast as it goes. */
  readonly bytesPerSecond: number;
  /** The connection is over: nothing more is carried. */
  readonly signal: AbortSignal;
  /** `to` cannot be written to any more. */
  readonly onBroken: () => void;
};

export type DelayLine = {
  /** Carries bytes; they arrive in order, after the delay, no faster than the line allows. */
  readonly push: (chunk: Buffer) => void;
  /** Does something at the other end, behind the bytes that are on the way. */
  readonly afterwards: (act: () => void) => void;
};

/** One way of a connection, a pipe of a certain length and width. It holds its sender back when it is full. */
export function openDelayLine({ from, to, delayMs, bytesPerSecond, signal, onBroken }: DelayLineOptions): DelayLine {
  type Item = { readonly dueMs: number; readonly bytes: number; readonly run: () => void | Promise<void> };
  const line: Item[] = [];
  let bytes = 0;
  let isRunning = false;

  function add(item: Omit<Item, 'dueMs'>): void {
    line.push({ dueMs: performance.now() + delayMs, ...item });
    bytes += item.bytes;
    if (bytes > LINE_BYTES_MAX) from.pause();
    if (isRunning) return;
    isRunning = true;
    void run();
  }

  async function run(): Promise<void> {
    try {
      for (let item = line.shift(); item !== undefined; item = line.shift()) {
        const waitMs = item.dueMs - performance.now();
        if (waitMs > 0) await sleep(waitMs, undefined, { signal });
        if (signal.aborted) return;
        await item.run();
        bytes -= item.bytes;
        if (bytes <= LINE_BYTES_MAX && from.isPaused()) from.resume();
      }
      isRunning = false;
    } catch {
      // A wait ends early for two reasons: the connection is over, or `to` has failed.
      if (!signal.aborted) onBroken();
    }
  }

  async function write(chunk: Buffer): Promise<void> {
    const sliceBytes = bytesPerSecond === 0 ? chunk.length : Math.max(1, Math.ceil(bytesPerSecond / SLICES_PER_SECOND));
    for (let at = 0; at < chunk.length && !signal.aborted; at += sliceBytes) {
      if (!to.writable) {
        onBroken();
        return;
      }
      const slice = chunk.subarray(at, at + sliceBytes);
      if (!to.write(slice)) await once(to, 'drain', { signal });
      if (bytesPerSecond > 0) await sleep((slice.length / bytesPerSecond) * 1000, undefined, { signal });
    }
  }

  return {
    push: (chunk) => add({ bytes: chunk.length, run: () => write(chunk) }),
    afterwards: (act) => add({ bytes: 0, run: act }),
  };
}
