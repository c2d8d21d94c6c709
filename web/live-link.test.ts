import fc from 'fast-check';
import { expect, test } from 'vitest';

import { type Link, RETRY_MS_MAX, RETRY_MS_MIN, retryDelayMs, stepLink } from './live-link.ts';

const connecting: Link = { kind: 'connecting', sinceMs: 0, failures: 2 };
const open: Link = { kind: 'open', heardMs: 0, probedMs: null };
const probed: Link = { kind: 'open', heardMs: 0, probedMs: 15_000 };
const waiting: Link = { kind: 'waiting', retryMs: 1000, failures: 1 };

test.for([
  // link, event, nowMs, next kind, action
  [connecting, 'heard', 100, 'open', null],
  [connecting, 'ticked', 9999, 'connecting', null],
  [connecting, 'ticked', 10_000, 'waiting', 'drop'],
  [connecting, 'closed', 100, 'waiting', null],
  [connecting, 'woken', 100, 'connecting', null],
  [open, 'heard', 100, 'open', null],
  [open, 'ticked', 14_999, 'open', null],
  [open, 'ticked', 15_000, 'open', 'probe'],
  [open, 'woken', 100, 'open', 'probe'],
  [open, 'closed', 100, 'waiting', null],
  [probed, 'ticked', 24_999, 'open', null],
  [probed, 'ticked', 25_000, 'waiting', 'drop'],
  [probed, 'heard', 25_000, 'open', null],
  [waiting, 'ticked', 999, 'waiting', null],
  [waiting, 'ticked', 1000, 'connecting', 'connect'],
  [waiting, 'woken', 1, 'connecting', 'connect'],
  [waiting, 'closed', 1, 'waiting', null],
  [waiting, 'heard', 1, 'waiting', null],
] as const)('stepLink(%o, %s, at %i ms) is %s, does %s', ([link, event, nowMs, kind, action]) => {
  const step = stepLink(link, event, nowMs, 0.5);
  expect([step.link.kind, step.action]).toEqual([kind, action]);
});

test('stepLink() counts failures only until something is heard', () => {
  expect(stepLink(connecting, 'closed', 0, 0).link).toEqual({ kind: 'waiting', retryMs: 1000, failures: 3 });
  expect(stepLink(open, 'closed', 0, 0).link).toEqual({ kind: 'waiting', retryMs: 250, failures: 1 });
});

test('retryDelayMs() grows with the failures and stays within its limits', () => {
  fc.assert(
    fc.property(fc.nat(2000), fc.double({ min: 0, max: 1, noNaN: true }), (failures, random) => {
      const delayMs = retryDelayMs(failures, random);
      expect(delayMs).toBeGreaterThanOrEqual(RETRY_MS_MIN / 2);
      expect(delayMs).toBeLessThanOrEqual(RETRY_MS_MAX);
      expect(retryDelayMs(failures + 1, random)).toBeGreaterThanOrEqual(delayMs);
    }),
  );
});
