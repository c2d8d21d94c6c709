import fc from 'fast-check';
import { expect, test } from 'vitest';

import { BACKOFF_MS_MAX, backoffMs, parseRetryAfter, RETRY_AFTER_MS_MAX } from './backoff.ts';

test.for([
  // failures, retryAfterMs, random, waits ms
  [0, 0, 0.5, 500],
  [2, 0, 0.5, 2_000],
  [6, 0, 1, BACKOFF_MS_MAX],
  [5_000, 0, 1, BACKOFF_MS_MAX],
  [0, 30_000, 0, 30_000],
  [0, 30_000, 0.5, 30_500],
  [0, 1e12, 0, RETRY_AFTER_MS_MAX],
] as const)(
  'backoffMs(%i failures, asked for %i ms, chance %d) is %i',
  ([failures, retryAfterMs, chance, expected]) => {
    expect(backoffMs(failures, retryAfterMs, () => chance)).toBe(expected);
  },
);

const NOW_MS = Date.UTC(2026, 0, 1);

test.for([
  ['120', 120_000],
  ['Thu, 01 Jan 2026 00:00:30 GMT', 30_000],
  ['Wed, 31 Dec 2025 23:59:59 GMT', 0],
  ['', 0],
  ['soon', 0],
  ['-1', 0],
] as const)('parseRetryAfter(%o) is %i ms', ([text, expected]) => {
  expect(parseRetryAfter(text, NOW_MS)).toBe(expected);
});

test('parseRetryAfter() never throws and is never negative', () => {
  fc.assert(fc.property(fc.string(), (text) => parseRetryAfter(text, NOW_MS) >= 0));
});
