/** Runs a task again and again, `everyMs` after the last run has ended; `close` waits for a run under way. */
export function repeat(
  everyMs: number,
  task: () => Promise<void>,
  onError: (error: unknown) => void,
): { close(): Promise<void> } {
  let running = Promise.resolve();
  let timer: NodeJS.Timeout | null = null;
  const wait = (): void => {
    timer = setTimeout(() => {
      running = task().catch(onError).then(wait);
    }, everyMs);
  };
  wait();
  return {
    async close() {
      await running;
      if (timer !== null) clearTimeout(timer);
    },
  };
}
