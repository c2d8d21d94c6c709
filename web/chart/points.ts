import { type Gap, indexAt, type Line, type Model, type Shape, valueAt } from './model.ts';

/** A point as it is drawn: `y` where, `value` what is said of it. NaN as `y` breaks the line. */
export type Point = { readonly x: number; readonly y: number; readonly value: number };

export type Points = {
  /** As many as lines, in their order. */
  readonly lines: readonly (readonly Point[])[];
  /** The highest and, counted downwards, the lowest that anything reaches; 0 and above. */
  readonly peak: number;
  readonly depth: number;
};

/** Turns samples into what is drawn `widthPx` wide: cut to the range, thinned, stacked, broken at gaps. */
export function makePoints(model: Model, shape: Shape, widthPx: number): Points {
  const bucketMs = (model.toMs - model.fromMs) / Math.max(1, widthPx);
  const visible = model.lines.map((line) => cutLine(line, model.fromMs, model.toMs));
  const lines =
    shape === 'stack' ? stackLines(visible, bucketMs, model.holdMs) : visible.map((line) => makeLine(line, bucketMs));
  let peak = 0;
  let depth = 0;
  for (const { x, y } of lines.flat()) {
    if (x < model.fromMs) continue;
    if (y > peak) peak = y;
    if (-y > depth) depth = -y;
  }
  return { lines: lines.map((points) => breakLine(points, model.gaps)), peak, depth };
}

/** The samples in the range, and the one before it, from which the line comes in. */
function cutLine(line: Line, fromMs: number, toMs: number): Line {
  const start = Math.max(0, indexAt(line.tsMs, fromMs));
  const end = indexAt(line.tsMs, toMs) + 1;
  return { ...line, tsMs: line.tsMs.slice(start, end), values: line.values.slice(start, end) };
}

function makeLine(line: Line, bucketMs: number): Point[] {
  return thinIndices(line.tsMs, line.values, bucketMs).map((index) => {
    const value = line.values[index] ?? Number.NaN;
    return { x: line.tsMs[index] ?? 0, y: line.below ? -value : value, value };
  });
}

/**
 * Each line upon the ones before it, at the ticks of all of them: a line without a sample at a tick of another keeps
 * its last value for `holdMs`, or the sum would have holes. All are thinned at the same ticks, chosen by their sum.
 */
function stackLines(lines: readonly Line[], bucketMs: number, holdMs: number): Point[][] {
  const ticks = [...new Set(lines.flatMap(({ tsMs }) => tsMs))].toSorted((a, b) => a - b);
  const values = lines.map((line) => ticks.map((tickMs) => valueAt(line, tickMs, holdMs) ?? Number.NaN));
  const sums: number[] = ticks.map(() => 0);
  const tops = values.map((column) =>
    column.map((value, index) => {
      if (Number.isNaN(value)) return value;
      const top = (sums[index] ?? 0) + value;
      sums[index] = top;
      return top;
    }),
  );
  const indices = thinIndices(ticks, sums, bucketMs);
  return tops.map((column, line) =>
    indices.map((index) => ({
      x: ticks[index] ?? 0,
      y: column[index] ?? Number.NaN,
      value: values[line]?.[index] ?? Number.NaN,
    })),
  );
}

/**
 * The lowest and the highest of each bucket, in order of time: real samples only, and no peak is lost. NaN is
 * kept only where a bucket holds nothing else. Buckets lie on multiples of their width, so that a sliding window keeps
 * choosing the same ones.
 */
export function thinIndices(tsMs: readonly number[], weights: readonly number[], bucketMs: number): number[] {
  const kept: number[] = [];
  let bucket = Number.NaN;
  let low = -1;
  let high = -1;
  const keep = (): void => {
    if (low >= 0) kept.push(Math.min(low, high));
    if (low !== high) kept.push(Math.max(low, high));
  };
  for (const [index, atMs] of tsMs.entries()) {
    const weight = weights[index] ?? Number.NaN;
    const itsBucket = Math.floor(atMs / bucketMs);
    if (itsBucket !== bucket) {
      keep();
      bucket = itsBucket;
      low = index;
      high = index;
      continue;
    }
    if (Number.isNaN(weight)) continue;
    // So written that any value takes the place of NaN.
    if (!(weight >= (weights[low] ?? Number.NaN))) low = index;
    if (!(weight <= (weights[high] ?? Number.NaN))) high = index;
  }
  keep();
  return kept;
}

/** Breaks a line wherever a gap lies between two of its points, and doubles a lone point so that it shows as a dot. */
export function breakLine(points: readonly Point[], gaps: readonly Gap[]): Point[] {
  const broken: Point[] = [];
  let lone = true;
  for (const [index, point] of points.entries()) {
    const next = points[index + 1];
    const cut = next === undefined || Number.isNaN(next.y) || liesBetween(gaps, point.x, next.x);
    broken.push(point);
    if (cut && lone) broken.push(point);
    if (cut && next !== undefined) broken.push({ x: point.x, y: Number.NaN, value: Number.NaN });
    lone = cut;
  }
  return broken;
}

function liesBetween(gaps: readonly Gap[], fromMs: number, toMs: number): boolean {
  return gaps.some(([gapFromMs, gapToMs]) => gapFromMs < toMs && gapToMs > fromMs);
}
