import { type Accessor, createSignal, onCleanup } from 'solid-js';

const TICK_MS = 1000;

/** The collector's clock, by which every age on screen is told: the browser's own may be wrong. */
export type Clock = {
  /** Moves once a second. */
  readonly nowMs: Accessor<number>;
  /** The same clock at this instant; not reactive. */
  readonly readNowMs: () => number;
  /** Takes over an instant that the collector just sent. */
  readonly adjust: (collectorNowMs: number) => void;
};

export function createClock(): Clock {
  let offsetMs = 0;
  const readNowMs = (): number => Date.now() + offsetMs;
  const [nowMs, setNowMs] = createSignal(readNowMs());
  const timer = setInterval(() => setNowMs(readNowMs()), TICK_MS);
  onCleanup(() => clearInterval(timer));
  return {
    nowMs,
    readNowMs,
    adjust: (collectorNowMs) => {
      offsetMs = collectorNowMs - Date.now();
    },
  };
}
