import type { ChildProcess } from 'node:child_process';

import { childEnvironment } from '../../child-environment.ts';
import type { Gpu } from './gpu-sample.ts';

/** Columns, in this order. Source: nvidia-smi --help-query-gpu. */
const COLUMNS = [
  'pci.bus_id',
  'name',
  'utilization.gpu',
  'memory.used',
  'memory.total',
  'temperature.gpu',
  'power.draw',
  'fan.speed',
] as const;

const EVERY_SECONDS = 10;
/** Two lines that did not come: the card, or the program, hangs. */
const STALE_MS = 25_000;
/** A program that ends at once is not tried more often than this, and one that says nothing for so long is ended. */
const AGAIN_MS = 60_000;
/** One that is killed ends at once, unless it hangs in the driver: then no signal reaches it. */
const END_MS_MAX = 1_000;
/** A line takes some 80 bytes, and a host has 16 cards at most. */
const LINE_LENGTH_MAX = 1_000;
const GPUS_MAX = 64;

export type NvidiaOptions = {
  readonly program: string;
  readonly now: () => number;
  /** By a signal that it cannot pass over: it has nothing to save. */
  readonly kill?: (child: ChildProcess) => void;
};

export type NvidiaWatch = {
  /** What the cards said last, and in `fault` why that is nothing. */
  readonly look: () => { readonly gpus: readonly Gpu[]; readonly fault: string | null };
  readonly close: () => Promise<void>;
};

/**
 * Keeps one nvidia-smi running, which prints a line for each card every ten seconds: other programs that the agent starts
 * end with their answer. Started anew when it ends, or says nothing; one that cannot be ended is not joined by a second.
 */
export function watchNvidia({ program, now, kill = killOutright }: NvidiaOptions): NvidiaWatch {
  let gpus = new Map<string, { readonly gpu: Gpu; readonly atMs: number }>();
  let child: ChildProcess | null = null;
  let startedMs = Number.NEGATIVE_INFINITY;
  /** When it last said something of a card, or was started. */
  let heardMs = startedMs;
  let isClosed = false;
  let fault: string | null = 'nvidia-smi has said nothing yet';

  function take(line: string): void {
    const gpu = parseGpu(line);
    if (gpu === null || (gpus.size >= GPUS_MAX && !gpus.has(gpu.id))) return;
    heardMs = now();
    gpus.set(gpu.id, { gpu, atMs: heardMs });
    fault = null;
  }

  function start(): void {
    startedMs = now();
    heardMs = startedMs;
    const argv = [`--query-gpu=${COLUMNS.join(',')}`, '--format=csv,noheader,nounits', `-l`, String(EVERY_SECONDS)];
    const { spawn } = process.getBuiltinModule('node:child_process'); // for those who switch it on
    const started = spawn(program, argv, { stdio: ['ignore', 'pipe', 'ignore'], env: childEnvironment() });
    child = started;
    const note = (reason: string) => {
      if (child === started) child = null;
      fault = reason;
    };
    started.on('error', ({ message }) => {
      // One that may not be killed is an error, too, and runs on.
      if (started.pid === undefined) note(`nvidia-smi cannot be started: ${message}`);
    });
    started.on('exit', (code, signal) =>
      note(isSilent() ? 'nvidia-smi was silent, and was ended' : `nvidia-smi has ended with ${signal ?? code}`),
    );
    const feed = makeLineReader(take);
    started.stdout.setEncoding('utf8').on('data', feed);
  }

  function isSilent(): boolean {
    return now() - heardMs >= AGAIN_MS;
  }

  /** It is started anew when it has ended, which a later look finds. */
  function endSilent(silent: ChildProcess): void {
    fault = 'nvidia-smi is silent and does not end: does the driver hang?';
    kill(silent);
  }

  return {
    look: () => {
      const nowMs = now();
      heardMs = Math.min(heardMs, nowMs); // a clock that was set back
      if (child !== null && isSilent()) endSilent(child);
      // A clock that was set back must not keep it from being started, either.
      const isTooEarly = nowMs >= startedMs && nowMs - startedMs < AGAIN_MS;
      if (child === null && !isTooEarly && !isClosed) start();
      gpus = new Map([...gpus].filter(([, { atMs }]) => Math.abs(nowMs - atMs) <= STALE_MS));
      return {
        gpus: [...gpus.values()].map(({ gpu }) => gpu),
        fault: gpus.size === 0 ? (fault ?? 'nvidia-smi is silent') : null,
      };
    },
    close: async () => {
      isClosed = true;
      if (child !== null) await end(child, kill);
    },
  };
}

/** One that hangs is left behind, and keeps us from nothing. */
async function end(child: ChildProcess, kill: (child: ChildProcess) => void): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null) return;
  const { promise: ended, resolve } = Promise.withResolvers<void>();
  child.once('exit', () => resolve());
  kill(child);
  const timer = setTimeout(resolve, END_MS_MAX);
  await ended;
  clearTimeout(timer);
  child.unref();
  child.stdout?.destroy();
}

function killOutright(child: ChildProcess): void {
  child.kill('SIGKILL');
}

/** Whole lines; one that is too long is passed over. */
function makeLineReader(take: (line: string) => void): (text: string) => void {
  let rest = '';
  return (text) => {
    const lines = (rest + text).split('\n');
    rest = (lines.pop() ?? '').slice(0, LINE_LENGTH_MAX);
    for (const line of lines) if (line.length < LINE_LENGTH_MAX) take(line);
  };
}

/** Reads a line such as `00000000:65:00.0, Tesla T4, 37, 1042, 15360, 51, 34.21, [N/A]`: percent, MiB, °C, W, percent. */
export function parseGpu(line: string): Gpu | null {
  const cells = line.split(', ').map((cell) => cell.trim());
  const [id = '', name = ''] = cells;
  if (cells.length !== COLUMNS.length || !/^[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.\d$/i.test(id)) return null;
  const [busy = null, used = null, total = null, celsius = null, watts = null, fan = null] = cells
    .slice(2)
    .map(parseCell);
  return {
    id,
    name,
    busyRatio: busy === null ? null : busy / 100,
    memoryBytes: used === null ? null : used * 2 ** 20,
    memoryBytesMax: total === null ? null : total * 2 ** 20,
    celsius,
    watts,
    fanRatio: fan === null ? null : fan / 100,
  };
}

/** Null for `[N/A]`, `[Not Supported]`, `[Unknown Error]`. */
function parseCell(cell: string): number | null {
  return /^\d{1,9}(\.\d{1,6})?$/.test(cell) ? Number(cell) : null;
}
