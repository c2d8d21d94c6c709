import { expect, test } from 'vitest';

import { describeEvent } from './events.ts';

test.for([
  [{ kind: 'boot', atMs: 1 }, 'Machine started'],
  [{ kind: 'oom-kill', atMs: 1, subject: 'java (pid 7)' }, 'Killed for want of memory: java (pid 7)'],
  [{ kind: 'gap', atMs: 1, toMs: 2, dropped: 1234, subject: 'full' }, '1,234 samples lost: full'],
  [{ kind: 'gap', atMs: 1, toMs: 2, dropped: 0, subject: 'killed' }, 'Samples lost: killed'],
  [{ kind: 'check-down', atMs: 1, subject: 'shop' }, 'Check down: shop'],
] as const)('describeEvent(%o) is %s', ([event, words]) => {
  expect(describeEvent(event)).toBe(words);
});
