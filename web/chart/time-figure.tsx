import {
  type Accessor,
  createEffect,
  createMemo,
  createSignal,
  type JSX,
  on,
  onCleanup,
  onMount,
  Show,
} from 'solid-js';

import { Legend, summarizeModel } from './legend.tsx';
import type { Look, Model } from './model.ts';
import { makeTimeChart, type TimeChart } from './time-chart.ts';

/** Charts this near to the screen are already kept up to date. */
const NEAR_PX = 200;

export type TimeFigureProps = {
  /** The name by which tests and styles find it. */
  readonly id: string;
  readonly title: string;
  readonly note: string;
  readonly look: Look;
  /** What to show now; called at most once a frame, and only while the chart is near the screen. */
  readonly build: () => Model;
  /** Changes when `build` would give something else. */
  readonly revision: Accessor<unknown>;
  /** Lies over the picture: nothing yet, nothing there, a fault. `empty`: there is no line to see. */
  readonly placeholder: (empty: Accessor<boolean>) => JSX.Element;
  /** Whether there is a figure at all while it has no line. */
  readonly whenEmpty: 'stay' | 'hide';
  /** Shared by charts that belong together, so that all point at the same instant. */
  readonly hoverMs: Accessor<number | null>;
  readonly onHover: (hoverMs: number | null) => void;
  /** Changes when the colours of the page do. */
  readonly colours: Accessor<unknown>;
};

/** A chart over time with its heading, its legend and its values in words. */
export function TimeFigure(props: TimeFigureProps): JSX.Element {
  const [model, setModel] = createSignal<Model | null>(null);
  const [near, setNear] = createSignal(false);
  const empty = createMemo(() => !model()?.lines.length);
  const frame = createFrame(() => setModel(props.build()));
  // A chart far from the screen is made once, for its values in words, and then left until it is near.
  createEffect(on([props.revision, near], () => (near() || empty() ? frame() : undefined)));
  return (
    <Show when={props.whenEmpty === 'stay' || !empty()}>
      <Figure {...props} model={model()} empty={empty} onNear={setNear} />
    </Show>
  );
}

type FigureProps = TimeFigureProps & {
  readonly model: Model | null;
  readonly empty: Accessor<boolean>;
  readonly onNear: (near: boolean) => void;
};

function Figure(props: FigureProps): JSX.Element {
  const [hidden, setHidden] = createSignal<ReadonlySet<string>>(new Set());
  const [figure, setFigure] = createSignal<HTMLElement>();
  let canvas: HTMLCanvasElement | undefined;

  onMount(() => {
    const shown = figure();
    if (shown === undefined || canvas === undefined) return;
    onCleanup(watchNear(shown, props.onNear));
    const chart = makeTimeChart(canvas, props.look, props.onHover);
    onCleanup(chart.close);
    connectChart(chart, props, () => visibleModel(props.model, hidden()));
  });
  const toggle = (group: string): void => {
    setHidden((groups) => {
      const next = new Set(groups);
      if (!next.delete(group)) next.add(group);
      return next;
    });
  };
  return (
    <figure ref={setFigure} class="card chart" data-testid="chart" data-chart={props.id}>
      <figcaption class="chart-caption">
        <h2>{props.title}</h2>
        <span class="chart-note">{props.note}</span>
      </figcaption>
      <div class="chart-area">
        <canvas ref={(element) => (canvas = element)} role="img" aria-label={describe(props)} />
        <div class="chart-placeholder">{props.placeholder(props.empty)}</div>
      </div>
      <Show when={props.model}>
        {(shown) => (
          <Legend
            look={props.look}
            model={shown()}
            atMs={props.hoverMs() ?? shown().toMs}
            hidden={hidden()}
            onToggle={toggle}
          />
        )}
      </Show>
    </figure>
  );
}

function describe({ title, look, model }: Pick<FigureProps, 'title' | 'look' | 'model'>): string {
  return model === null ? `${title}: no values yet` : summarizeModel(title, look, model);
}

function visibleModel(model: Model | null, hidden: ReadonlySet<string>): Model | null {
  if (model === null || hidden.size === 0) return model;
  return { ...model, lines: model.lines.filter((line) => !hidden.has(line.group)) };
}

function connectChart(chart: TimeChart, props: TimeFigureProps, model: Accessor<Model | null>): void {
  createEffect(() => {
    const shown = model();
    if (shown !== null) chart.show(shown);
  });
  createEffect(() => chart.point(props.hoverMs()));
  createEffect(on(props.colours, () => chart.recolour(), { defer: true }));
}

function watchNear(element: Element, onChange: (near: boolean) => void): () => void {
  const observer = new IntersectionObserver(([entry]) => onChange(entry?.isIntersecting ?? false), {
    rootMargin: `${NEAR_PX}px`,
  });
  observer.observe(element);
  return () => observer.disconnect();
}

/** A function that runs `act` once in the next frame, however often it is called before. */
function createFrame(act: () => void): () => void {
  let request: number | null = null;
  onCleanup(() => (request === null ? undefined : cancelAnimationFrame(request)));
  return () => {
    request ??= requestAnimationFrame(() => {
      request = null;
      act();
    });
  };
}
