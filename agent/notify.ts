import { describeError, type Log } from '@muster/proto/log';

import { RETRY_AFTER_MS_MAX } from './backoff.ts';
import type { Cancel, Schedule } from './schedule.ts';

/** How often the state is told where nobody asks for signs of life. */
const STATUS_MS = 30_000;
/** How late a tick may come, beyond two intervals: sources are slow on a busy machine, and none waits for long. */
const TICK_LATE_MS_MAX = 10_000;
/**
 * How long the push loop may go without a request. The longest wait that it keeps by itself is the one that a collector
 * asks for (backoff.ts), a minute more for a token that is not taken; the rest is a request, and the next tick.
 */
const QUIET_MS_MAX = RETRY_AFTER_MS_MAX + 150_000;

export type NotifyOptions = {
  /** Tells the service manager assignments, a line each: sd_notify(3). Throws when they cannot be sent. */
  readonly send: (state: string) => void;
  /** Within what time it wants a sign of life; null: it does not watch. */
  readonly watchdogMs: number | null;
  /** Who this is, and to whom it sends. */
  readonly about: string;
  readonly log: Log;
  /** Of a clock that no one sets and that stands still while the machine sleeps, as the service manager's does. */
  readonly monotonicMs: () => number;
  readonly now: () => number;
  readonly schedule: Schedule;
};

/** What the service manager is told follows from these. */
export type Notifier = {
  /** A tick was taken; the next one is due after the interval. */
  readonly ticked: (everyMs: number) => void;
  /** The push loop has begun a request. */
  readonly asked: () => void;
  /** The collector has stored a batch. */
  readonly delivered: () => void;
  readonly close: () => void;
};

/** Where nobody supervises the agent. */
export const NO_NOTIFIER: Notifier = {
  ticked: () => undefined,
  asked: () => undefined,
  delivered: () => undefined,
  close: () => undefined,
};

/**
 * Tells the service manager that the agent is ready as soon as the first tick was taken, whether or not the collector
 * answers: a host must start while its collector is away. From then on it gives a sign of life at half of the time that is
 * asked for, but only while ticks are taken and the push loop asks; an agent that hangs is started again.
 */
export function openNotifier(options: NotifyOptions): Notifier {
  const { watchdogMs, about, monotonicMs, now, schedule } = options;
  const tell = makeTeller(options);
  let tick: { readonly atMs: number; readonly everyMs: number } | null = null;
  let askedMs = monotonicMs();
  let deliveredMs: number | null = null;
  let isReady = false;
  let told = '';
  let cancel: Cancel;

  function isAlive(): boolean {
    if (tick === null) return true; // the service manager waits for the first one, and not for ever
    const isSampling = monotonicMs() - tick.atMs <= 2 * tick.everyMs + TICK_LATE_MS_MAX;
    return isSampling && monotonicMs() - askedMs <= QUIET_MS_MAX;
  }

  function describe(): string {
    return `STATUS=${about}; ${deliveredMs === null ? 'nothing delivered yet' : `last delivered at ${formatTime(deliveredMs)}`}`;
  }

  function beat(): void {
    const status = describe();
    const lines = [...(watchdogMs !== null && isAlive() ? ['WATCHDOG=1'] : []), ...(status === told ? [] : [status])];
    if (lines.length > 0 && tell(lines)) told = status;
    cancel = schedule(beat, watchdogMs === null ? STATUS_MS : watchdogMs / 2);
  }

  beat();
  return {
    ticked: (everyMs) => {
      isReady ||= tell(['READY=1']);
      tick = { atMs: monotonicMs(), everyMs };
    },
    asked: () => (askedMs = monotonicMs()),
    delivered: () => {
      const isFirst = deliveredMs === null;
      deliveredMs = now();
      if (isFirst && tell([describe()])) told = describe();
    },
    close: () => {
      cancel();
      tell(['STOPPING=1', 'STATUS=delivering what waits']);
    },
  };
}

/** Whether it could be told. If not, that is no reason to stop sampling; it is said once. */
function makeTeller({ send, log }: NotifyOptions): (lines: readonly string[]) => boolean {
  let isFaulty = false;
  return (lines) => {
    try {
      send(lines.join('\n'));
      isFaulty = false;
    } catch (cause) {
      if (!isFaulty) log.error('notify.failed', { reason: describeError(cause) });
      isFaulty = true;
    }
    return !isFaulty;
  };
}

/** `12:15:03 UTC` */
function formatTime(atMs: number): string {
  return `${new Date(atMs).toISOString().slice(11, 19)} UTC`;
}

/** What the environment says of the watchdog: WATCHDOG_USEC, for this process only. Source: sd_watchdog_enabled(3). */
export function readWatchdogMs(env: Readonly<Record<string, string | undefined>>, pid: number): number | null {
  const { WATCHDOG_USEC: microseconds = '', WATCHDOG_PID: itsPid = String(pid) } = env;
  const isOurs = /^[1-9]\d{0,14}$/.test(microseconds) && itsPid === String(pid);
  return isOurs ? Number(microseconds) / 1000 : null;
}
