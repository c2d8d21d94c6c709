/**
 * By what the system ends a process that has failed: at a bad address, or by `abort()`, as Node's own when its heap is
 * full. The last is Ctrl-Z, which the engine takes as well.
 */
const FATAL_SIGNALS = ['SIGSEGV', 'SIGBUS', 'SIGILL', 'SIGFPE', 'SIGTRAP', 'SIGABRT', 'SIGSYS', 'SIGTSTP'] as const;

/**
 * Lets the system act on these signals again, at once. The engine handles them from when it opens: it waits five minutes
 * for a thread that would write where the fault was, and which nobody starts here (ClickHouse, SignalHandlers.cpp). So a
 * process that had failed would hang, and nothing would start it anew.
 */
export function releaseFatalSignals(): void {
  const handle = (): void => undefined;
  // Node takes the place of whatever handles a signal, and leaves it to the system when nobody listens any more.
  for (const signal of FATAL_SIGNALS) process.on(signal, handle).off(signal, handle);
}
