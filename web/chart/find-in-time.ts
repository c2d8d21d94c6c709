import type { Chart, ChartEvent, InteractionItem } from 'chart.js';

import type { Point } from './points.ts';

/** Farther from the pointer than this, a sample is not what the pointer means. */
const REACH_PX = 24;

/** What lies under the pointer: of each line the drawn sample nearest in time, whatever its height. */
export function findInTime(chart: Chart, event: Pick<ChartEvent, 'x'>): InteractionItem[] {
  const x = chart.scales['x'];
  if (x === undefined || event.x === null) return [];
  const atMs = x.getValueForPixel(event.x) ?? Number.NaN;
  const reachMs = (REACH_PX / x.width) * (x.max - x.min);
  return chart.getSortedVisibleDatasetMetas().flatMap((meta) => {
    // The only data that charts here are given.
    const points = (chart as Chart<'line', Point[]>).data.datasets[meta.index]?.data ?? [];
    const index = nearestIndex(points, atMs, reachMs);
    const element = index === null ? undefined : meta.data[index];
    return index === null || element === undefined ? [] : [{ element, datasetIndex: meta.index, index }];
  });
}

/** The point nearest to an instant and within reach of it; those that only break the line do not count. */
export function nearestIndex(points: readonly Point[], atMs: number, reachMs: number): number | null {
  let nearest: number | null = null;
  let nearestMs = reachMs;
  for (const [index, { x, y }] of points.entries()) {
    const distanceMs = Math.abs(x - atMs);
    if (distanceMs > nearestMs || Number.isNaN(y)) continue;
    nearest = index;
    nearestMs = distanceMs;
  }
  return nearest;
}
