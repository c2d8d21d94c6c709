import type { Quantity } from '../format.ts';

/** A stretch of time in which nothing was sent; no line is drawn over it. */
export type Gap = readonly [fromMs: number, toMs: number];

/** How lines share the picture: `stack` upon each other, `lines` each from zero, `mirror` some downwards. */
export type Shape = 'stack' | 'lines' | 'mirror';

/** One line. `tsMs` rises and is as long as `values`; NaN: no value there. */
export type Line = {
  /** What the line is of; the lines of one group share a colour and an entry in the legend. */
  readonly group: string;
  /** Which of its group it is, such as `in` and `out`; '' where there is only one. */
  readonly side: string;
  /** Index into the palette. */
  readonly colour: number;
  /** Drawn downwards from zero, in a mirrored chart. */
  readonly below: boolean;
  readonly tsMs: readonly number[];
  readonly values: readonly number[];
};

/** What one chart shows at one moment. */
export type Model = {
  readonly fromMs: number;
  readonly toMs: number;
  readonly lines: readonly Line[];
  /** Lines that exist and are not drawn. */
  readonly leftOut: number;
  readonly gaps: readonly Gap[];
  /** How long a sample counts as the value of its line. */
  readonly holdMs: number;
  /** Where the axis must end; null: where the values do. */
  readonly limit: number | null;
  /** A level to compare with, drawn dashed. */
  readonly reference: { readonly name: string; readonly value: number } | null;
};

/** What stays the same about a chart. */
export type Look = { readonly shape: Shape; readonly quantity: Quantity };

export function nameLine(line: Pick<Line, 'group' | 'side'>): string {
  return line.side === '' ? line.group : `${line.group} ${line.side}`;
}

/** The value of a line at an instant: that of its newest sample, unless that is older than `holdMs`. */
export function valueAt(line: Line, atMs: number, holdMs: number): number | null {
  const index = indexAt(line.tsMs, atMs);
  const tsMs = line.tsMs[index];
  const value = line.values[index];
  if (tsMs === undefined || value === undefined || atMs - tsMs > holdMs || Number.isNaN(value)) return null;
  return value;
}

/** The index of the last tick that is not later than `atMs`; -1: all are. */
export function indexAt(tsMs: readonly number[], atMs: number): number {
  let low = 0;
  let high = tsMs.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((tsMs[middle] ?? Number.POSITIVE_INFINITY) <= atMs) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
