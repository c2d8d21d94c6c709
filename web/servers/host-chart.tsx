import type { HostRow } from '@muster/proto/api';
import type { MetricName } from '@muster/proto/metric';
import { type Accessor, createMemo, type JSX, Show } from 'solid-js';

import { useApp } from '../app-context.ts';
import type { Line, Model } from '../chart/model.ts';
import { TimeFigure } from '../chart/time-figure.tsx';
import { formatCount } from '../format.ts';
import { Notice } from '../ui/notice.tsx';
import type { ChartSpec } from './chart-specs.ts';
import type { History } from './history.ts';
import { type Colours, makeLines } from './lines.ts';
import { isLive, type Range } from './range.ts';
import { gapsAt, holdMs, type SeriesWindow } from './window.ts';

/** A host whose clock runs ahead is followed this far; a sample from farther in the future waits for its time. */
const AHEAD_MS_MAX = 60_000;

export type HostChartProps = {
  readonly spec: ChartSpec;
  readonly history: History;
  readonly range: Range;
  readonly row: HostRow | null;
  readonly hoverMs: Accessor<number | null>;
  readonly onHover: (hoverMs: number | null) => void;
};

/** One chart of a host, from its history. */
export function HostChart(props: HostChartProps): JSX.Element {
  const { clock, theme } = useApp();
  const colours: Colours = new Map();
  const revision = createMemo(() => props.spec.metrics.map((metric) => props.history.revision(metric)).join(' '));
  // A live chart slides with time; the others stand until they are read again.
  const moment = createMemo(() => [revision(), isLive(props.range) ? props.history.idleMs() : null]);
  const build = (): Model => buildModel(props, readWindows(props), clock.readNowMs(), colours);
  return (
    <TimeFigure
      id={props.spec.id}
      title={props.spec.title}
      note={props.spec.note}
      look={props.spec.look}
      build={build}
      revision={moment}
      placeholder={(empty) => <Placeholder spec={props.spec} history={props.history} empty={empty()} />}
      whenEmpty={props.spec.shown === 'always' ? 'stay' : 'hide'}
      hoverMs={props.hoverMs}
      onHover={props.onHover}
      colours={theme.colours}
    />
  );
}

function Placeholder(props: {
  readonly spec: ChartSpec;
  readonly history: History;
  readonly empty: boolean;
}): JSX.Element {
  const states = createMemo(() => props.spec.metrics.map((metric) => props.history.state(metric)));
  const fault = createMemo(() => states().find((state) => typeof state === 'object') ?? null);
  const text = (): string => (states().includes('loading') ? 'Loading…' : 'No samples in this range yet');
  return (
    <Show
      when={fault()}
      fallback={
        <Show when={props.empty}>
          <p class="chart-message">{text()}</p>
        </Show>
      }
    >
      {(shown) => (
        <Notice title="Could not be read" onRetry={() => void props.history.load(props.spec.metrics)}>
          <p>{shown().fault}</p>
        </Notice>
      )}
    </Show>
  );
}

type NamedWindow = readonly [MetricName, SeriesWindow];

function readWindows({ spec, history }: HostChartProps): NamedWindow[] {
  return spec.metrics.flatMap((metric) => {
    const window = history.readWindow(metric);
    return window === null ? [] : [[metric, window] as const];
  });
}

function buildModel(
  { spec, range, row }: HostChartProps,
  windows: readonly NamedWindow[],
  nowMs: number,
  colours: Colours,
): Model {
  const newestMs = Math.max(0, ...windows.map(([, { lastMs }]) => lastMs ?? 0));
  const toMs = newestMs > nowMs && newestMs < nowMs + AHEAD_MS_MAX ? newestMs : nowMs;
  const fromMs = toMs - range.rangeMs;
  const everyMs = row?.everyMs ?? null;
  const { lines, leftOut } = makeLines(spec, windows, fromMs, colours);
  const [, first] = windows[0] ?? [];
  const cores = row?.cores ?? null;
  return {
    fromMs,
    toMs,
    lines,
    leftOut,
    gaps: first === undefined ? [] : gapsAt(first, toMs, everyMs),
    holdMs: Math.max(0, ...windows.map(([, window]) => holdMs(window, everyMs))),
    limit: spec.limit === 'sum' ? sumOfNewest(lines) : spec.limit,
    reference: spec.reference === null || cores === null ? null : { name: `${formatCount(cores)} cores`, value: cores },
  };
}

/** What the newest values add up to: the size of a memory whose states are stacked. */
function sumOfNewest(lines: readonly Line[]): number | null {
  const sum = lines.reduce((total, { values }) => total + (values.at(-1) ?? 0), 0);
  return sum > 0 ? sum : null;
}
