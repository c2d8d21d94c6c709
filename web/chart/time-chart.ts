import {
  Chart,
  type ChartConfiguration,
  type ChartDataset,
  Filler,
  Interaction,
  type InteractionModeFunction,
  LinearScale,
  LineController,
  LineElement,
  PointElement,
  Tooltip,
  type TooltipItem,
} from 'chart.js';

import { formatInstant, formatQuantity } from '../format.ts';
import type { ChartState, Picture } from './chart-state.ts';
import { findInTime } from './find-in-time.ts';
import { type Look, type Model, nameLine } from './model.ts';
import { makeOverlay } from './overlay.ts';
import { type Palette, readPalette } from './palette.ts';
import { makePoints, type Point } from './points.ts';
import { localZoneOffset, pickTimeStep, timeTickLabel, timeTicks } from './time-axis.ts';
import { makeValueAxis, valueTickLabel } from './value-axis.ts';

declare module 'chart.js' {
  // oxlint-disable-next-line typescript/consistent-type-definitions -- only an interface merges with the library's own
  interface InteractionModeMap {
    inTime: InteractionModeFunction;
  }
}

type LineChart = Chart<'line', Point[]>;
type LineOptions = NonNullable<ChartConfiguration<'line'>['options']>;
type ScaleOptions = NonNullable<LineOptions['scales']>[string];
type TooltipOptions = NonNullable<NonNullable<LineOptions['plugins']>['tooltip']>;

/** Room that one tick label of the time axis wants. */
const TICK_PX = 84;
/** The value axes of charts above each other have one width, so that their time axes line up. */
const VALUE_AXIS_PX = 74;
const FONT = { family: 'system-ui, -apple-system, "Segoe UI", Roboto, sans-serif', size: 11 } as const;

export type TimeChart = {
  readonly show: (model: Model) => void;
  /** Draws the crosshair at an instant; null: nowhere. */
  readonly point: (hoverMs: number | null) => void;
  /** Reads the colours again after they changed. */
  readonly recolour: () => void;
  readonly close: () => void;
};

/** One chart over time on a canvas. `onHover` is told the instant under the pointer, null when it leaves. */
export function makeTimeChart(
  canvas: HTMLCanvasElement,
  look: Look,
  onHover: (hoverMs: number | null) => void,
): TimeChart {
  Chart.register(Filler, LinearScale, LineController, LineElement, PointElement, Tooltip);
  Interaction.modes.inTime = findInTime;
  const state: ChartState = { picture: null, palette: readPalette(canvas), hoverMs: null };
  const chart: LineChart = new Chart(canvas, makeConfiguration(look, state));
  const stopListening = listen(canvas, chart, onHover);
  const show = (model: Model): void => {
    state.picture = makePicture(model, look, chart.width);
    chart.data.datasets = makeDatasets(state.picture, look, state.palette);
    chart.update('none');
  };
  return {
    show,
    point: (hoverMs) => {
      if (state.hoverMs === hoverMs) return;
      state.hoverMs = hoverMs;
      chart.draw();
    },
    recolour: () => {
      state.palette = readPalette(canvas);
      if (state.picture !== null) show(state.picture.model);
    },
    close: () => {
      stopListening();
      chart.destroy();
    },
  };
}

function makePicture(model: Model, look: Look, widthPx: number): Picture {
  const points = makePoints(model, look.shape, widthPx);
  const peak = Math.max(points.peak, model.reference?.value ?? 0);
  const depth = look.shape === 'mirror' ? points.depth : null;
  const timeStepMs = pickTimeStep(model.toMs - model.fromMs, Math.max(2, Math.floor(widthPx / TICK_PX)));
  return {
    model,
    points,
    axis: makeValueAxis({ peak, depth, limit: model.limit, quantity: look.quantity }),
    timeStepMs,
    timeTicks: timeTicks(model.fromMs, model.toMs, timeStepMs, localZoneOffset),
  };
}

function makeDatasets({ model, points }: Picture, look: Look, palette: Palette): ChartDataset<'line', Point[]>[] {
  return points.lines.map((data, index) => {
    const colour = model.lines[index]?.colour ?? 0;
    return {
      data: [...data],
      borderColor: palette.series[colour] ?? palette.text,
      borderWidth: look.shape === 'stack' ? 1 : 1.5,
      backgroundColor: (look.shape === 'stack' ? palette.layers : palette.areas)[colour] ?? palette.text,
      fill: pickFill(look, index, points.lines.length),
    };
  });
}

/** What the area of a line reaches down to. Many areas from zero would hide each other. */
function pickFill(look: Look, index: number, count: number): string | false {
  if (look.shape === 'stack') return index === 0 ? 'origin' : '-1';
  return count <= (look.shape === 'mirror' ? 4 : 1) ? 'origin' : false;
}

/** Everything that changes is read from `state` while painting, so that an update only has to bring new points. */
function makeConfiguration(look: Look, state: Readonly<ChartState>): ChartConfiguration<'line', Point[]> {
  return {
    type: 'line',
    data: { datasets: [] },
    plugins: [makeOverlay(state)],
    options: {
      animation: false,
      parsing: false,
      normalized: true,
      maintainAspectRatio: false,
      resizeDelay: 50,
      interaction: { mode: 'inTime', intersect: false },
      elements: {
        point: { radius: 0, hoverRadius: 0, hitRadius: 0 },
        line: { borderJoinStyle: 'round', borderCapStyle: 'round' },
      },
      scales: { x: makeTimeScale(state), y: makeValueScale(look, state) },
      plugins: { tooltip: makeTooltip(look, state) },
    },
  };
}

function makeTimeScale(state: Readonly<ChartState>): ScaleOptions {
  return {
    type: 'linear',
    bounds: 'data',
    border: { display: false },
    grid: { color: () => state.palette.grid, drawTicks: false },
    afterDataLimits: (scale) => {
      scale.min = state.picture?.model.fromMs ?? 0;
      scale.max = state.picture?.model.toMs ?? 1;
    },
    afterBuildTicks: (scale) => {
      scale.ticks = (state.picture?.timeTicks ?? []).map((value) => ({ value }));
    },
    ticks: {
      autoSkip: false,
      maxRotation: 0,
      padding: 6,
      font: FONT,
      color: () => state.palette.text,
      callback: (value) => timeTickLabel(Number(value), state.picture?.timeStepMs ?? 0),
    },
  };
}

function makeValueScale(look: Look, state: Readonly<ChartState>): ScaleOptions {
  return {
    type: 'linear',
    bounds: 'data',
    border: { display: false },
    grid: { color: ({ tick }) => (tick.value === 0 ? state.palette.axis : state.palette.grid), drawTicks: false },
    afterFit: (scale) => {
      scale.width = VALUE_AXIS_PX;
    },
    afterDataLimits: (scale) => {
      scale.min = state.picture?.axis.min ?? 0;
      scale.max = state.picture?.axis.max ?? 1;
    },
    afterBuildTicks: (scale) => {
      // Without lines there is nothing that the numbers would measure.
      const ticks = state.picture?.model.lines.length ? state.picture.axis.ticks : [];
      scale.ticks = ticks.map((value) => ({ value }));
    },
    ticks: {
      autoSkip: false,
      padding: 6,
      font: FONT,
      color: () => state.palette.text,
      callback: (value) => valueTickLabel(Number(value), look.quantity),
    },
  };
}

function makeTooltip(look: Look, state: Readonly<ChartState>): TooltipOptions {
  const find = ({ datasetIndex, dataIndex }: TooltipItem<'line'>): Point | undefined =>
    state.picture?.points.lines[datasetIndex]?.[dataIndex];
  return {
    caretSize: 0,
    caretPadding: 12,
    padding: 10,
    boxPadding: 4,
    boxWidth: 8,
    boxHeight: 8,
    usePointStyle: true,
    titleFont: FONT,
    bodyFont: FONT,
    backgroundColor: () => state.palette.tooltip,
    titleColor: () => state.palette.tooltipText,
    bodyColor: () => state.palette.tooltipText,
    itemSort: (a, b) => (find(b)?.value ?? 0) - (find(a)?.value ?? 0),
    callbacks: {
      title: ([item]) => formatInstant(item === undefined ? null : (find(item)?.x ?? null)),
      label: (item) => {
        const line = state.picture?.model.lines[item.datasetIndex];
        const name = line === undefined ? '' : nameLine(line);
        return `${name}  ${formatQuantity(look.quantity, find(item)?.value ?? null)}`;
      },
      labelColor: ({ datasetIndex }) => {
        const colour = state.palette.series[state.picture?.model.lines[datasetIndex]?.colour ?? 0] ?? '';
        return { borderColor: colour, backgroundColor: colour };
      },
    },
  };
}

function listen(canvas: HTMLCanvasElement, chart: LineChart, onHover: (hoverMs: number | null) => void): () => void {
  const leave = (): void => onHover(null);
  const move = (event: PointerEvent): void => {
    const { left, right } = chart.chartArea;
    const inside = event.offsetX >= left && event.offsetX <= right;
    onHover(inside ? (chart.scales['x']?.getValueForPixel(event.offsetX) ?? null) : null);
  };
  canvas.addEventListener('pointermove', move);
  canvas.addEventListener('pointerleave', leave);
  return () => {
    canvas.removeEventListener('pointermove', move);
    canvas.removeEventListener('pointerleave', leave);
  };
}
