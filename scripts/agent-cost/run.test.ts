import { expect, test } from 'vitest';

import { measureCosts } from './run.ts';

test('an agent is measured from its start to its end, with all that it sends', { timeout: 60_000 }, async () => {
  const said: string[] = [];
  const costs = await measureCosts({
    agent: null,
    config: null,
    everyMs: 1_000,
    warmUpMs: 0,
    measuredMs: 6_000, // a push comes every five seconds
    hasPeers: false,
    say: (text) => said.push(text),
  });
  expect(costs).toHaveLength(1);
  const [cost] = costs;
  expect(cost?.name).toBe('agent');
  expect(cost?.firstMs).toBeGreaterThan(0);
  expect(cost?.series).toBeGreaterThan(20);
  expect(cost?.bodyBytes).toBeGreaterThan(0);
  expect(cost?.fixedBytes).toBeGreaterThan(0);
  expect(cost?.bodyBytes).toBeGreaterThan(cost?.fixedBytes ?? Infinity);
  expect(cost?.wireBytes).toBeGreaterThan(cost?.bodyBytes ?? Infinity);
  expect(cost?.anonymousBytesMax).toBeGreaterThanOrEqual(cost?.anonymousBytes ?? Infinity);
  expect(cost?.rssBytes).toBeGreaterThan(cost?.anonymousBytes ?? Infinity);
  expect(said).toHaveLength(2);
});
