/** Runs tasks one after the other, in the order asked; one that fails stops none behind it. */
export function makeTurns(): <T>(task: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (task) => {
    const done = last.then(task);
    last = done.catch(() => undefined);
    return done;
  };
}

/** Runs `task` on items in the order given, one run at a time: those that come during one share the next, and its end. */
export function makeGroups<T>(task: (items: readonly T[]) => Promise<void>): (item: T) => Promise<void> {
  const inTurn = makeTurns();
  let next: { readonly items: T[]; readonly done: Promise<void> } | null = null;
  return (item) => {
    if (next === null) {
      const items: T[] = [];
      const done = inTurn(() => {
        next = null;
        return task(items);
      });
      next = { items, done };
    }
    next.items.push(item);
    return next.done;
  };
}

/** Runs a task in turn. Those who ask before it begins share it: else each would wait for one of its own. */
export function shareNext<T>(inTurn: ReturnType<typeof makeTurns>, task: () => Promise<T>): () => Promise<T> {
  let next: Promise<T> | null = null;
  return () => {
    next ??= inTurn(() => {
      next = null;
      return task();
    });
    return next;
  };
}
