import { formatQuantity, type Quantity } from '../format.ts';

export type ValueAxis = { readonly min: number; readonly max: number; readonly ticks: readonly number[] };

const DECIMAL_STEPS = [1, 2, 2.5, 5, 10];
/** Rates are written with one decimal, which a quarter does not fit. */
const RATE_STEPS = [1, 2, 5, 10];
const BINARY_STEPS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];
const STEPS_MAX = 4;

/**
 * A value axis from zero up to `peak`, rounded up to a whole step, or to exactly `limit` where there is one: the size
 * of the memory, 100 %. `depth` is how far a mirrored chart reaches below zero, null for one that does not. Steps of
 * bytes are binary, so that ticks read 256 MiB and not 238.
 */
export function makeValueAxis(options: {
  readonly peak: number;
  readonly depth: number | null;
  readonly limit: number | null;
  readonly quantity: Quantity;
}): ValueAxis {
  const { limit, quantity } = options;
  // Below this a chart shows rest, not drama: a load of 0.02 must not fill the picture.
  const least = quantity === 'ratio' ? 0.01 : quantity === 'bytes' || quantity === 'byte-rate' ? 1024 : 1;
  const peak = Math.max(options.peak, least);
  const depth = options.depth === null ? 0 : Math.max(options.depth, least);
  const step = pickValueStep((limit ?? peak + depth) / STEPS_MAX, quantity);
  // A share that is never above one has no room above it.
  const rounded = Math.ceil(peak / step) * step;
  const max = limit ?? (quantity === 'ratio' && peak <= 1 ? Math.min(1, rounded) : rounded);
  const min = depth === 0 ? 0 : -Math.ceil(depth / step) * step;
  const ticks: number[] = [];
  for (let index = Math.round(min / step); index * step <= max; index += 1) ticks.push(index * step);
  return { min, max, ticks };
}

/** What a tick says: its distance from zero, without zeros that say nothing. */
export function valueTickLabel(value: number, quantity: Quantity): string {
  return formatQuantity(quantity, Math.abs(value)).replace(/\.0+(?!\d)|(?<=\.\d*[1-9])0+(?!\d)/, '');
}

/** The smallest round step that is not below `least`. */
export function pickValueStep(least: number, quantity: Quantity): number {
  const steps = stepsOf(quantity);
  const radix = steps.at(-1) ?? 10;
  const magnitude = radix ** Math.floor(Math.log(least) / Math.log(radix));
  const scaled = least / magnitude;
  // The last step is the radix itself; the tolerance is for a logarithm that came out a hair low.
  const step = steps.find((candidate) => candidate >= scaled - 1e-9) ?? radix;
  return step * magnitude;
}

function stepsOf(quantity: Quantity): readonly number[] {
  if (quantity === 'bytes' || quantity === 'byte-rate') return BINARY_STEPS;
  return quantity === 'rate' ? RATE_STEPS : DECIMAL_STEPS;
}
