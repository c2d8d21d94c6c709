import { counterRise } from '@muster/proto/metric';

import type { Sample } from '../source.ts';

/** As in collector/ingest/latest.ts. */
const FORGET_MS = 10 * 60_000;

/** How much each counter rose, as the collector sees it: between two samples of it, of which it forgets the first in time. */
export function makeRises() {
  const last = new Map<string, { readonly tsMs: number; readonly value: number }>();
  const rises = new Map<string, number>();
  return {
    take: (samples: readonly Sample[], tsMs: number): void => {
      for (const { metric, value } of samples.filter(({ about }) => about?.kind === 'counter')) {
        const before = last.get(metric);
        const isKnown = before !== undefined && tsMs - before.tsMs <= FORGET_MS;
        rises.set(metric, (rises.get(metric) ?? 0) + (isKnown ? (counterRise(before.value, value) ?? 0) : 0));
        last.set(metric, { tsMs, value });
      }
    },
    all: () => Object.fromEntries(rises),
  };
}
