/** What a run of a source took: from its start to its end, and of the CPU. */
export type Cost = { readonly durationMs: number; readonly cpuMs: number };

export type Metered<T> = { readonly value: T; readonly cost: Cost };

export type MeterOptions = {
  /** Rises steadily, whatever is done to the wall clock. */
  readonly nowMs: () => number;
  /** The CPU time of this process so far. */
  readonly cpuMs: () => number;
};

export type Meter = {
  /** Begins a series of runs: what the process did until now is none of theirs. */
  readonly begin: () => void;
  readonly measure: <T>(run: () => T | Promise<T>) => Metered<T> | Promise<Metered<T>>;
};

/**
 * Measures runs, of which several may be under way. The CPU time from the start of one to its first wait is all its own;
 * what the process uses later is shared among those that are waiting, because nobody can tell them apart. A run that
 * never waits is measured exactly, from the end of the one before it in its series. `run` may throw.
 */
export function makeMeter({ nowMs, cpuMs }: MeterOptions): Meter {
  const waiting = new Set<{ cpuMs: number }>();
  let accountedMs = cpuMs();

  function takeLap(): number {
    const usedMs = cpuMs() - accountedMs;
    accountedMs += usedMs;
    return Math.max(0, usedMs); // what is left out of it may have been estimated too high
  }

  function share(): void {
    const usedMs = takeLap();
    for (const one of waiting) one.cpuMs += usedMs / waiting.size;
  }

  function measure<T>(run: () => T | Promise<T>): Metered<T> | Promise<Metered<T>> {
    if (waiting.size > 0) share();
    const startedMs = nowMs();
    const begun = run();
    const own = { cpuMs: takeLap() };
    if (!(begun instanceof Promise)) {
      return { value: begun, cost: { durationMs: nowMs() - startedMs, cpuMs: own.cpuMs } };
    }
    waiting.add(own);
    return begun
      .then((value) => {
        share();
        return { value, cost: { durationMs: nowMs() - startedMs, cpuMs: own.cpuMs } };
      })
      .finally(() => waiting.delete(own));
  }

  return { begin: share, measure };
}

/** The clocks of this process. */
export function readProcessClocks(): MeterOptions {
  return {
    nowMs: () => performance.now(),
    cpuMs: () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1000;
    },
  };
}
