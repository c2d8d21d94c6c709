import type { Model } from './model.ts';
import type { Palette } from './palette.ts';
import type { Points } from './points.ts';
import type { ValueAxis } from './value-axis.ts';

/** What one chart shows at one moment, made ready to paint. */
export type Picture = {
  readonly model: Model;
  readonly points: Points;
  readonly axis: ValueAxis;
  readonly timeStepMs: number;
  readonly timeTicks: readonly number[];
};

/** What the parts of a chart read while it paints. */
export type ChartState = {
  picture: Picture | null;
  palette: Palette;
  /** The instant that the pointer rests on, in this chart or in one beside it. */
  hoverMs: number | null;
};
