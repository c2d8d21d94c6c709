import { defineConfig } from 'vitest/config';

import { findServerFault } from './scripts/clickhouse-server/server.ts';

/** What every store must stand, run once on each: these open theirs by collector/test-store.ts. */
const OF_EVERY_STORE = [
  'collector/store/{archive,compaction,completeness,history,idempotence,state,store}.test.ts',
  'collector/sample-buffer.test.ts',
];

const serverFault = findServerFault();
if (serverFault !== null) process.stderr.write(`${serverFault}; the store is tested embedded alone\n`);

export default defineConfig({
  test: {
    // Processes, not threads: the embedded database may be opened once in a process.
    pool: 'forks',
    // Most of them wait for processes, sockets and clocks: one worker less than there are cores leaves these idle.
    maxWorkers: 3,
    testTimeout: 30_000,
    hookTimeout: 30_000,
    projects: [
      { extends: true, test: { name: 'all', include: ['{agent,collector,proto,scripts,web}/**/*.test.ts'] } },
      ...(serverFault === null
        ? [
            {
              extends: true,
              test: { name: 'server', include: OF_EVERY_STORE, env: { MUSTER_TEST_DRIVER: 'server' } },
            } as const,
          ]
        : []),
    ],
  },
});
