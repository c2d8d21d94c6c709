/** What one program cost over the time that was measured. null: could not be told. */
export type Cost = {
  readonly name: string;
  readonly cpuPercent: number;
  readonly anonymousBytes: number;
  readonly anonymousBytesMax: number;
  readonly rssBytes: number;
  readonly rssBytesMax: number;
  /** Processes and threads that were started while it ran. */
  readonly started: number | null;
  readonly series: number | null;
  /** An hour, both directions, HTTP's headers included; and the bodies of the requests alone. */
  readonly wireBytes: number | null;
  readonly bodyBytes: number | null;
  /** What of the bodies is there however few series there are. */
  readonly fixedBytes: number | null;
  /** From the start to the first batch acknowledged. */
  readonly firstMs: number | null;
};

/** One figure of the agent: what it is, and what it should be at most. */
export type Figure = {
  readonly name: string;
  readonly unit: string;
  readonly read: (cost: Cost) => number | null;
  readonly required?: number;
  readonly stretch?: number;
};

const MB = 1e6;

export type Run = {
  readonly everyMs: number;
  /** How long the agent has run when its memory is looked at last. What is required of that is meant after ten minutes. */
  readonly ageMs: number;
};

/** What is asked of an agent that samples so often; the CPU at other intervals, and the wire at others than 5 s, is not. */
export function figuresAt({ everyMs, ageMs }: Run): readonly Figure[] {
  const age = `after ${Math.round(ageMs / 1_000)} s`;
  return [
    { name: 'CPU, of one core', unit: '%', read: ({ cpuPercent }) => cpuPercent, ...cpuLimits(everyMs) },
    { ...megabytes(`private memory (RssAnon), ${age}`, 'anonymousBytes'), required: 20, stretch: 12 },
    megabytes('private memory (RssAnon), most', 'anonymousBytesMax'),
    { ...megabytes(`resident memory (RSS), ${age}`, 'rssBytes'), required: 60, stretch: 45 },
    megabytes('resident memory (RSS), most', 'rssBytesMax'),
    { name: 'processes and threads started', unit: '', read: ({ started }) => started, required: 0, stretch: 0 },
    { name: 'series', unit: '', read: ({ series }) => series },
    { name: 'on the wire, an hour', unit: 'KB', read: ({ wireBytes }) => kilobytes(wireBytes) },
    { name: 'of that bodies of requests', unit: 'KB', read: ({ bodyBytes }) => kilobytes(bodyBytes) },
    {
      name: 'on the wire, an hour, for 100 series by what grows',
      unit: 'KB',
      read: readHundred,
      ...wireLimits(everyMs),
    },
    { name: 'start to first batch delivered', unit: 's', read: readFirst, required: 1, stretch: 0.3 },
  ];
}

function cpuLimits(everyMs: number): Pick<Figure, 'required' | 'stretch'> {
  if (everyMs === 1_000) return { required: 0.5, stretch: 0.15 };
  return everyMs === 10_000 ? { required: 0.1, stretch: 0.03 } : {};
}

function wireLimits(everyMs: number): Pick<Figure, 'required' | 'stretch'> {
  return everyMs === 5_000 ? { required: 400, stretch: 150 } : {};
}

function megabytes(name: string, field: 'anonymousBytes' | 'anonymousBytesMax' | 'rssBytes' | 'rssBytesMax'): Figure {
  return { name, unit: 'MB', read: (cost) => cost[field] / MB };
}

function kilobytes(bytes: number | null): number | null {
  return bytes === null ? null : bytes / 1_000;
}

function readFirst({ firstMs }: Cost): number | null {
  return firstMs === null ? null : firstMs / 1_000;
}

/** What a request takes whatever it carries, and of its body what is said of the series, which grows with them. */
function readHundred({ series, wireBytes, bodyBytes, fixedBytes }: Cost): number | null {
  if (series === null || series === 0 || wireBytes === null || bodyBytes === null || fixedBytes === null) return null;
  const growingBytes = bodyBytes - fixedBytes;
  return (wireBytes - growingBytes + (growingBytes * 100) / series) / 1_000;
}

/** Whether the agent is within all that is required of it; what could not be told is not. */
export function isWithin(figures: readonly Figure[], agent: Cost): boolean {
  return figures.every(({ read, required }) => required === undefined || (read(agent) ?? Infinity) <= required);
}

/** A line for each figure, a column for each program; the first is the agent, which the limits are for. */
export function formatTable(figures: readonly Figure[], costs: readonly Cost[]): string {
  const head = ['', ...costs.map(({ name }) => name), 'required', 'stretch'];
  const rows = figures.map(({ name, unit, read, required, stretch }) => [
    unit === '' ? name : `${name} (${unit})`,
    ...costs.map((cost) => formatNumber(read(cost))),
    formatLimit(required),
    formatLimit(stretch),
  ]);
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map((row) => row[column]?.length ?? 0)));
  return [head, ...rows]
    .map((row) => row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))))
    .map((row) => row.join('  ').trimEnd())
    .join('\n');
}

function formatNumber(value: number | null): string {
  if (value === null) return '-';
  return Number.isInteger(value) || Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(2);
}

function formatLimit(value: number | undefined): string {
  return value === undefined ? '' : `<= ${value}`;
}
