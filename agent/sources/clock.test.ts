import { findMetric } from '@muster/proto/metric';
import { expect, test } from 'vitest';

import { makeClockSource } from './clock.ts';

test('the clock is beside that of the collector as soon as that is known, and may be behind', async () => {
  let offset: { readonly offsetSeconds: number; readonly errorSeconds: number } | null = null;
  const source = makeClockSource(() => offset);
  expect(await source.read()).toEqual({ ok: true, value: { samples: [] } });
  offset = { offsetSeconds: -2.5, errorSeconds: 0.011 };
  const reading = await source.read();
  expect(reading.ok && reading.value.samples).toEqual([
    { metric: 'system.clock.offset', labels: '', value: -2.5 },
    { metric: 'system.clock.offset.error', labels: '', value: 0.011 },
  ]);
  expect(findMetric('system.clock.offset')?.min).toBeLessThan(-2.5);
});
