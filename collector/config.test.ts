import { expect, test } from 'vitest';

import { OPTIONS } from './config.ts';

test.for([
  ['0', 0],
  ['1h', 3_600_000],
  ['24h', 86_400_000],
  ['7d', 604_800_000],
  ['0h', null],
  ['30m', null],
  ['24', null],
  ['-1h', null],
] as const)('--backup-every %s is %o ms', ([text, ms]) => {
  const parsed = OPTIONS.backupEvery.parse(text);
  expect(parsed.ok ? parsed.value : null).toBe(ms);
});

test.for([
  ['1', 1],
  ['14', 14],
  ['0', null],
  ['1.5', null],
] as const)('--backup-keep %s is %o', ([text, count]) => {
  const parsed = OPTIONS.backupKeep.parse(text);
  expect(parsed.ok ? parsed.value : null).toBe(count);
});

test.for([
  ['process', true],
  ['power-loss', true],
  ['none', false],
] as const)('--durability %s may be said: %s', ([text, isMode]) => {
  expect(OPTIONS.durability.parse(text).ok).toBe(isMode);
});

test.for([
  ['duo', true],
  ['eu-west.1', true],
  ["duo', db", false],
  ['', false],
] as const)('--store-cluster %s may be said: %s', ([text, isName]) => {
  expect(OPTIONS.storeCluster.parse(text).ok).toBe(isName);
});
