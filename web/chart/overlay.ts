import type { Chart, Plugin } from 'chart.js';

import type { ChartState } from './chart-state.ts';

const HATCH_PX = 6;
/** A gap narrower than this would only be dirt on the picture. */
const GAP_PX_MIN = 2;

/** Paints what Chart.js has no element for: hatched gaps under the lines, reference level and crosshair over them. */
export function makeOverlay(state: Readonly<ChartState>): Plugin<'line'> {
  return {
    id: 'overlay',
    beforeDatasetsDraw: (chart) => clipped(chart, () => drawGaps(chart, state)),
    afterDatasetsDraw: (chart) =>
      clipped(chart, () => {
        drawReference(chart, state);
        drawCrosshair(chart, state);
      }),
  };
}

function clipped(chart: Chart, draw: () => void): void {
  const { ctx, chartArea } = chart;
  ctx.save();
  ctx.beginPath();
  ctx.rect(chartArea.left, chartArea.top, chartArea.width, chartArea.height);
  ctx.clip();
  draw();
  ctx.restore();
}

function drawGaps(chart: Chart, { picture, palette }: ChartState): void {
  const { ctx, chartArea, scales } = chart;
  const x = scales['x'];
  if (picture === null || x === undefined) return;
  ctx.strokeStyle = palette.hatch;
  ctx.lineWidth = 1;
  for (const [gapFromMs, gapToMs] of picture.model.gaps) {
    const left = Math.max(chartArea.left, x.getPixelForValue(gapFromMs));
    const right = Math.min(chartArea.right, x.getPixelForValue(gapToMs));
    if (right - left < GAP_PX_MIN) continue;
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, chartArea.top, right - left, chartArea.height);
    ctx.clip();
    ctx.beginPath();
    // Lines lie on a grid of the picture, not of the gap, so that a sliding gap does not shimmer.
    const first = Math.floor((left - chartArea.height) / HATCH_PX) * HATCH_PX;
    for (let startPx = first; startPx < right; startPx += HATCH_PX) {
      ctx.moveTo(startPx, chartArea.bottom);
      ctx.lineTo(startPx + chartArea.height, chartArea.top);
    }
    ctx.stroke();
    ctx.restore();
  }
}

function drawReference(chart: Chart, { picture, palette }: ChartState): void {
  const y = chart.scales['y'];
  const reference = picture?.model.reference ?? null;
  if (reference === null || y === undefined) return;
  const { ctx, chartArea } = chart;
  const levelPx = Math.round(y.getPixelForValue(reference.value)) + 0.5;
  if (levelPx < chartArea.top) return;
  ctx.strokeStyle = palette.text;
  ctx.setLineDash([4, 4]);
  strokeLine(ctx, [chartArea.left, levelPx], [chartArea.right, levelPx]);
}

function drawCrosshair(chart: Chart, { palette, hoverMs }: ChartState): void {
  const x = chart.scales['x'];
  if (hoverMs === null || x === undefined) return;
  const { ctx, chartArea } = chart;
  const atPx = Math.round(x.getPixelForValue(hoverMs)) + 0.5;
  ctx.strokeStyle = palette.crosshair;
  ctx.setLineDash([]);
  ctx.lineWidth = 1;
  strokeLine(ctx, [atPx, chartArea.top], [atPx, chartArea.bottom]);
}

type Spot = readonly [xPx: number, yPx: number];

function strokeLine(ctx: CanvasRenderingContext2D, from: Spot, to: Spot): void {
  ctx.beginPath();
  ctx.moveTo(...from);
  ctx.lineTo(...to);
  ctx.stroke();
}
