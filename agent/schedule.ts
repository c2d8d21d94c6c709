/** Runs something once, after a while, unless cancelled before. Tests bring a clock of their own. */
export type Schedule = (run: () => void, delayMs: number) => Cancel;
export type Cancel = () => void;

export const scheduleTimer: Schedule = (run, delayMs) => {
  const timer = setTimeout(run, delayMs);
  return () => clearTimeout(timer);
};

/** How an agent ends: from `begun` on nothing new is tried, and at `over` what is under way is given up. */
export type Closing = { readonly begun: AbortSignal; readonly over: AbortSignal };

/** Waits, but not beyond the moment at which `signal` is aborted. */
export function pause(schedule: Schedule, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const end = () => {
      cancel();
      signal.removeEventListener('abort', end);
      resolve();
    };
    const cancel = schedule(end, delayMs);
    signal.addEventListener('abort', end, { once: true });
  });
}
