export type Repeated = {
  /** Runs the task at once, or again after the run that is under way. */
  readonly wake: () => void;
  /** Waits for a run under way, which it asks by the signal to end early. */
  readonly close: () => Promise<void>;
};

/** Runs a task again and again, `everyMs` after the last run has ended. */
export function repeat(
  everyMs: number,
  task: (closing: AbortSignal) => Promise<void>,
  onError: (error: unknown) => void,
): Repeated {
  const closing = new AbortController();
  let running: Promise<void> | null = null;
  let timer: NodeJS.Timeout | null = null;
  let isWoken = false;

  function run(): void {
    timer = null;
    isWoken = false;
    running = task(closing.signal)
      .catch(onError)
      .then(() => {
        running = null;
        if (!closing.signal.aborted) timer = setTimeout(run, isWoken ? 0 : everyMs);
      });
  }

  timer = setTimeout(run, everyMs);
  return {
    wake() {
      isWoken = true;
      if (timer === null || closing.signal.aborted) return;
      clearTimeout(timer);
      timer = setTimeout(run, 0);
    },
    async close() {
      closing.abort();
      if (timer !== null) clearTimeout(timer);
      await running;
    },
  };
}
