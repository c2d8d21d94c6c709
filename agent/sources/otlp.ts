import { formatLabels } from '@muster/proto/labels';

import { makeAllowance } from '../custom/allowance.ts';
import { makeIntake } from '../custom/intake.ts';
import { keepListening } from '../custom/keep-listening.ts';
import { addressOf, CPU_RATIO_DEFAULT, type ListenSettings } from '../custom/listen.ts';
import type { SeriesPool } from '../custom/series.ts';
import { remember } from '../remember.ts';
import type { Source } from '../source.ts';
import { openServer } from './otlp/server.ts';

export const OTLP_PORT = 4318;
/** Over this time exports may take their share of a core: the default is one export a minute and service. */
const WINDOW_MS = 10_000;

export type OtlpOptions = {
  readonly settings: ListenSettings;
  readonly pool: SeriesPool;
  readonly root: string;
  readonly now: () => number;
  /** The share of a core that exports may take; a twentieth where it is not said. */
  readonly cpuRatioMax?: number | undefined;
};

/** What services of the host export as OTLP over HTTP. */
export async function openOtlpSource(options: OtlpOptions): Promise<Source> {
  const { settings, pool, root, now, cpuRatioMax = CPU_RATIO_DEFAULT } = options;
  const { limit, port = OTLP_PORT } = settings;
  const address = addressOf(settings);
  const keeper = pool.open('otlp', limit);
  const intake = makeIntake(keeper);
  const nowMs = (): number => performance.now();
  const allowance = makeAllowance({ windowMs: WINDOW_MS, cpuRatioMax, nowMs });
  const answers = new Map<number, number>();
  const labelsOf = remember((status) => formatLabels({ 'http.response.status_code': status }));
  const listening = await keepListening({
    protocol: 'tcp',
    address,
    port,
    path: '/v1/metrics',
    open: () =>
      openServer({
        address,
        port,
        allowance,
        take: (points) => intake.take(points, now()),
        onAnswer: (status) => void answers.set(status, (answers.get(status) ?? 0) + 1),
        nowMs,
      }),
    keeper,
    take: (tsMs) => intake.read(tsMs),
    sample: () =>
      Array.from(answers, ([status, value]) => ({
        metric: 'muster.agent.otlp.requests' as const,
        labels: labelsOf(String(status)),
        value,
      })),
    root,
    now,
  });
  return { name: 'otlp', ...listening, besideMs: allowance.totalMs };
}
