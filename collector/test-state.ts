import type { State, StateTable } from './store/state.ts';

/** The state of a collector, kept in memory: what access decides does not depend on the store. For tests. */
export function makeTestState(): State {
  return {
    hosts: makeTable('host'),
    enrolmentTokens: makeTable('hash'),
    hostTokens: makeTable('hash'),
    sessions: makeTable('hash'),
    metrics: makeTable('metric'),
  };
}

/** The contract of a state table. */
function makeTable<T>(key: keyof T): StateTable<T> {
  const rows = new Map<string, T>();
  return {
    get: (name) => rows.get(name),
    all: () => rows.values(),
    async put(row) {
      await Promise.resolve(); // not at once, as the store
      rows.set(String(row[key]), row);
    },
    async putAll(all) {
      await Promise.resolve();
      for (const row of all) rows.set(String(row[key]), row);
    },
    async change(name, step) {
      await Promise.resolve();
      const row = rows.get(name);
      if (row !== undefined) rows.set(name, step(row));
    },
    remove: async (name) => void rows.delete(name),
    removeAll: async (names) => {
      for (const name of names) rows.delete(name);
    },
  };
}
