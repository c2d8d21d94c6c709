import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['{agent,collector,proto,scripts,web}/**/*.test.ts'],
    // Processes, not threads: the embedded database may be opened once in a process.
    pool: 'forks',
    // Most of them wait for processes, sockets and clocks: one worker less than there are cores leaves these idle.
    maxWorkers: 3,
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
});
