import type { MetricName } from '@muster/proto/metric';

import type { Line } from '../chart/model.ts';
import { LINES_MAX } from '../chart/palette.ts';
import { compareNames } from '../compare-names.ts';
import type { ChartSpec, LinePick } from './chart-specs.ts';
import type { SeriesWindow, WindowSeries } from './window.ts';

type Candidate = { readonly pick: LinePick; readonly series: WindowSeries };

export type Lines = { readonly lines: readonly Line[]; readonly leftOut: number };

/** The colours that the groups of one chart wear. A group keeps its colour for as long as it is drawn. */
export type Colours = Map<string, number>;

/**
 * The lines of a chart: of all groups those that reach highest, `LINES_MAX` at most, in the order of the chart.
 * `colours` is kept between calls.
 */
export function makeLines(
  spec: Pick<ChartSpec, 'pick' | 'shown'>,
  windows: readonly (readonly [MetricName, SeriesWindow])[],
  fromMs: number,
  colours: Colours,
): Lines {
  const groups = new Map<string, Candidate[]>();
  for (const [metric, window] of windows) {
    for (const series of window.series.values()) {
      const pick = spec.pick(metric, series.labels);
      if (pick === null || (series.tsMs.at(-1) ?? 0) < fromMs) continue;
      if (spec.shown === 'if-above-zero' && peakOf(series) === 0) continue;
      const members = groups.get(pick.group) ?? [];
      members.push({ pick, series });
      groups.set(pick.group, members);
    }
  }
  const drawn = groups.size > LINES_MAX ? highest(groups) : [...groups];
  drawn.sort(([a, [first]], [b, [second]]) => compareGroups(a, first, b, second));
  assignColours(drawn, colours);
  const lines = drawn.flatMap(([group, members]) =>
    members
      .toSorted((a, b) => Number(a.pick.below ?? false) - Number(b.pick.below ?? false))
      .map(({ pick, series }) => ({
        group,
        side: pick.side ?? '',
        below: pick.below ?? false,
        colour: colours.get(group) ?? 0,
        tsMs: series.tsMs,
        values: series.values,
      })),
  );
  return { lines, leftOut: groups.size - drawn.length };
}

type Group = readonly [name: string, members: readonly Candidate[]];

function highest(groups: ReadonlyMap<string, readonly Candidate[]>): Group[] {
  const peaks = [...groups].map((group) => ({
    group,
    peak: Math.max(...group[1].map(({ series }) => peakOf(series))),
  }));
  peaks.sort((a, b) => b.peak - a.peak || compareNames(a.group[0], b.group[0]));
  return peaks.slice(0, LINES_MAX).map(({ group }) => group);
}

function peakOf({ values }: WindowSeries): number {
  return values.reduce((peak, value) => (value > peak ? value : peak), 0);
}

function compareGroups(a: string, first: Candidate | undefined, b: string, second: Candidate | undefined): number {
  return (first?.pick.order ?? LINES_MAX) - (second?.pick.order ?? LINES_MAX) || compareNames(a, b);
}

function assignColours(drawn: readonly Group[], colours: Colours): void {
  const names = new Set(drawn.map(([group]) => group));
  for (const group of colours.keys()) if (!names.has(group)) colours.delete(group);
  for (const [group, [first]] of drawn) {
    if (colours.has(group)) continue;
    const taken = new Set(colours.values());
    const free = Array.from({ length: LINES_MAX }, (_, colour) => colour).find((colour) => !taken.has(colour));
    colours.set(group, first?.pick.colour ?? free ?? 0);
  }
}
