import type { Quantity } from '../format.ts';

export type ValueAxis = { readonly min: number; readonly max: number; readonly ticks: readonly number[] };

const DECIMAL_STEPS = [1, 2, 2.5, 5, 10];
const BINARY_STEPS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];
const STEPS_MAX = 4;

/**
 * A value axis from zero up to `peak`, rounded up to a whole step, or to exactly `limit` where there is one: the size
 * of the memory, 100 %. `depth` is how far it must reach below zero for a mirrored chart. Steps of bytes are binary,
 * so that ticks read 256 MiB and not 238.
 */
export function makeValueAxis(options: {
  readonly peak: number;
  readonly depth: number;
  readonly limit: number | null;
  readonly quantity: Quantity;
}): ValueAxis {
  const { depth, limit, quantity } = options;
  const peak = Math.max(options.peak, depth === 0 ? smallestPeak(quantity) : 0);
  const span = limit ?? Math.max(peak + depth, smallestPeak(quantity));
  const step = pickValueStep(span / STEPS_MAX, quantity);
  const max = limit ?? Math.ceil(peak / step) * step;
  const min = depth === 0 ? 0 : -Math.ceil(depth / step) * step;
  const ticks: number[] = [];
  for (let index = Math.round(min / step); index * step <= max; index += 1) ticks.push(index * step);
  return { min, max, ticks };
}

/** Below this a chart shows rest, not drama: a load of 0.02 must not fill the picture. */
function smallestPeak(quantity: Quantity): number {
  switch (quantity) {
    case 'ratio':
      return 0.01;
    case 'bytes':
    case 'byte-rate':
      return 1024;
    default:
      return 1;
  }
}

/** The smallest round step that is not below `least`. */
export function pickValueStep(least: number, quantity: Quantity): number {
  const binary = quantity === 'bytes' || quantity === 'byte-rate';
  const radix = binary ? 1024 : 10;
  const magnitude = radix ** Math.floor(Math.log(least) / Math.log(radix));
  const scaled = least / magnitude;
  // The last step is the radix itself; the tolerance is for a logarithm that came out a hair low.
  const step = (binary ? BINARY_STEPS : DECIMAL_STEPS).find((candidate) => candidate >= scaled - 1e-9) ?? radix;
  return step * magnitude;
}
