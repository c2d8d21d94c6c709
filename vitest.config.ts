import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['{agent,collector,proto,scripts,web}/**/*.test.ts'],
    // Processes, not threads: the embedded database may be opened once in a process.
    pool: 'forks',
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
});
