/** How many lines one chart draws at most: as many as there are colours to tell apart. */
export const LINES_MAX = 8;
/** The colour after those: for what is there but is not used. */
export const NEUTRAL_COLOUR = LINES_MAX;

/** The colours that a chart paints with, as CSS texts, taken from the custom properties of style/theme.css. */
export type Palette = {
  readonly series: readonly string[];
  /** Faint, because areas lie over each other. */
  readonly areas: readonly string[];
  /** Strong, because layers of a stack do not. */
  readonly layers: readonly string[];
  readonly text: string;
  readonly grid: string;
  readonly axis: string;
  readonly hatch: string;
  readonly crosshair: string;
  readonly tooltip: string;
  readonly tooltipText: string;
};

/** Reads the palette as it stands for an element. `light-dark()` is only resolved in a real property, hence `color`. */
export function readPalette(element: HTMLElement): Palette {
  const own = element.style.color;
  const read = (name: string): string => {
    element.style.color = `var(${name})`;
    return getComputedStyle(element).color;
  };
  const series = Array.from({ length: NEUTRAL_COLOUR + 1 }, (_, index) => read(`--series-${index + 1}`));
  const palette: Palette = {
    series,
    areas: series.map((colour) => fade(colour, 0.22)),
    layers: series.map((colour, index) => fade(colour, index === NEUTRAL_COLOUR ? 0.25 : 0.7)),
    text: read('--text-muted'),
    grid: read('--chart-grid'),
    axis: read('--chart-axis'),
    hatch: read('--chart-hatch'),
    crosshair: read('--chart-crosshair'),
    tooltip: read('--chart-tooltip'),
    tooltipText: read('--chart-tooltip-text'),
  };
  element.style.color = own;
  return palette;
}

/** A computed colour, `rgb(r, g, b)`, made translucent. */
function fade(colour: string, alpha: number): string {
  return colour.replace('rgb(', 'rgba(').replace(')', `, ${alpha})`);
}
