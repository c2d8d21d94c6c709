import type { SeriesReply } from '@muster/proto/api';
import { expect, test } from 'vitest';

import { appendValue, gapsAt, makeWindow, type SeriesWindow, trimWindow } from './window.ts';

function reply(tsMs: readonly number[], gaps: SeriesReply['gaps'] = []): SeriesReply {
  return {
    host: 'a',
    metric: 'm',
    kind: 'gauge',
    unit: '1',
    tier: 'raw',
    tiers: [],
    fromMs: 0,
    toMs: 100_000,
    gaps,
    series: [{ labels: { cpu: '0' }, tsMs, values: tsMs.map((atMs) => atMs / 1000) }],
  };
}

const append = (window: SeriesWindow, atMs: number, everyMs: number | null, text = 'cpu=0'): boolean =>
  appendValue(window, { text, atMs, value: atMs / 1000, everyMs });

test('makeWindow() tells the interval from the samples', () => {
  expect(makeWindow(reply([0, 1000, 2000, 9000]), null).intervalMs).toBe(1000);
  expect(makeWindow(reply([]), null)).toMatchObject({ intervalMs: 5000, lastMs: null });
});

test('makeWindow() keeps what came live after what is stored', () => {
  const before = makeWindow(reply([1000, 2000]), null);
  append(before, 3000, 1000);
  append(before, 4000, 1000, 'cpu=1');
  const window = makeWindow(reply([1000, 2000, 3000]), before);
  expect(window.series.get('cpu=0')?.tsMs).toEqual([1000, 2000, 3000]);
  expect(window.series.get('cpu=1')).toMatchObject({ labels: { cpu: '1' }, tsMs: [4000], values: [4] });
  expect(window.lastMs).toBe(4000);
});

test.for([
  // stored, live, everyMs, gaps
  [[0, 1000], [2000, 3000], 1000, []],
  [[0, 1000], [4000], 1000, []],
  [[0, 1000], [16_000], 1000, []],
  [[0, 1000], [16_001], 1000, [[1000, 16_001]]],
  // The host was sampled every 5 s until this page opened.
  [[0, 5000], [10_000, 11_000, 12_000], 1000, []],
  // It went back to 5 s, and its row said so.
  [[0, 1000], [6000], 5000, []],
  [[0, 1000], [6000], null, []], // unwatched again: five seconds apart from here on
  [[0, 1000], [17_000], null, [[1000, 17_000]]],
  [[], [50_000], 1000, []],
  [[0, 1000], [1000, 500], 1000, []],
] as const)('appendValue() after %j of %j, every %o ms, makes gaps %j', ([stored, live, everyMs, gaps]) => {
  const window = makeWindow(reply(stored), null);
  const after = live.map((atMs) => append(window, atMs, everyMs));
  expect(window.gaps).toEqual(gaps);
  expect(after.filter(Boolean)).toHaveLength(gaps.length);
});

test('appendValue() counts one gap for all series of a tick', () => {
  const window = makeWindow(reply([0, 1000]), null);
  append(window, 60_000, 1000);
  append(window, 60_000, 1000, 'cpu=1');
  expect(window.gaps).toEqual([[1000, 60_000]]);
});

test('appendValue() keeps an unknown rate as a hole and refuses labels that are none', () => {
  const window = makeWindow(reply([0]), null);
  appendValue(window, { text: 'cpu=0', atMs: 1000, value: null, everyMs: null });
  appendValue(window, { text: '=', atMs: 1000, value: 1, everyMs: null });
  expect(window.series.get('cpu=0')?.values).toEqual([0, Number.NaN]);
  expect(window.series.size).toBe(1);
});

test.for([
  [16_000, 1000, []],
  [16_001, 1000, [[1000, 16_001]]],
  [200_000, 60_000, [[1000, 200_000]]],
  [100_000, 60_000, []],
] as const)('gapsAt(%i), every %i ms, is %j', ([nowMs, everyMs, gaps]) => {
  expect(gapsAt(makeWindow(reply([0, 1000]), null), nowMs, everyMs)).toEqual(gaps);
});

test('trimWindow() cuts with some slack, and drops what ended before', () => {
  const window = makeWindow(reply([0, 50_000, 100_000], [[0, 10]]), null);
  append(window, 1000, null, 'cpu=1');
  trimWindow(window, 60_000);
  expect(window.series.get('cpu=0')?.tsMs).toHaveLength(3);
  trimWindow(window, 60_001 + 20_000);
  expect(window.series.get('cpu=0')?.tsMs).toEqual([100_000]);
  expect([...window.series.keys()]).toEqual(['cpu=0']);
  expect(window.gaps).toEqual([]);
});
