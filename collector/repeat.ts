/**
 * Runs a task again and again, `everyMs` after the last run has ended. `close` waits for a run under way, which it asks
 * by the signal to end early.
 */
export function repeat(
  everyMs: number,
  task: (closing: AbortSignal) => Promise<void>,
  onError: (error: unknown) => void,
): { close(): Promise<void> } {
  const closing = new AbortController();
  let running = Promise.resolve();
  let timer: NodeJS.Timeout | null = null;
  const wait = (): void => {
    timer = setTimeout(() => {
      running = task(closing.signal).catch(onError).then(wait);
    }, everyMs);
  };
  wait();
  return {
    async close() {
      closing.abort();
      await running;
      if (timer !== null) clearTimeout(timer);
    },
  };
}
