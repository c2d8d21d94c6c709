import * as v from 'valibot';

import type { SeriesReply } from '@muster/proto/api';
import { formatRateUnit, type MetricAbout } from '@muster/proto/custom';
import { parseLabels } from '@muster/proto/labels';

import type { SeriesAnswer, SeriesQuery } from '../../store/queries.ts';
import type { Route } from '../app.ts';
import { refuse, refuseUnknownHost } from '../auth.ts';
import { MILLISECONDS } from './milliseconds.ts';

/** The longest range that one request may ask for. */
const RANGE_MS_MAX = 400 * 86_400_000;

const QUERY = v.object({
  host: v.pipe(v.string(), v.minLength(1)),
  metric: v.pipe(v.string(), v.minLength(1)),
  fromMs: MILLISECONDS,
  toMs: MILLISECONDS,
});

export type SeriesRouteOptions = {
  readonly isHost: (host: string) => boolean;
  readonly findMetric: (metric: string) => MetricAbout;
  readonly readSeries: (query: SeriesQuery, signal: AbortSignal) => Promise<SeriesAnswer>;
};

/** One metric of one host over a time, for a chart. */
export function makeSeriesRoute({ isHost, findMetric, readSeries }: SeriesRouteOptions): Route {
  return {
    method: 'GET',
    path: '/api/v1/series',
    role: 'admin',
    async handle(context) {
      const query = v.safeParse(QUERY, context.req.query());
      if (!query.success) {
        return refuse(
          context,
          400,
          'bad-query',
          'Ask with host, metric, fromMs and toMs; the last two in Unix milliseconds',
        );
      }
      const { host, metric, fromMs, toMs } = query.output;
      if (toMs <= fromMs)
        return refuse(context, 400, 'bad-range', `toMs must be after fromMs, was ${toMs} and ${fromMs}`);
      if (toMs - fromMs > RANGE_MS_MAX) return refuse(context, 400, 'bad-range', 'A range may be 400 days at most');
      if (!isHost(host)) return refuseUnknownHost(context, host);
      const { kind, unit } = findMetric(metric);
      const answer = await readSeries({ host, metric, kind, fromMs, toMs }, context.req.raw.signal);
      const reply: SeriesReply = {
        host,
        metric,
        kind,
        unit: kind === 'counter' ? formatRateUnit(unit) : unit,
        fromMs,
        toMs,
        tier: answer.tier,
        series: answer.series.map(({ labels, tsMs, values }) => ({ labels: readLabels(labels), tsMs, values })),
        gaps: answer.gaps,
      };
      return context.json(reply);
    },
  };
}

function readLabels(text: string): Readonly<Record<string, string>> {
  const labels = parseLabels(text);
  return labels.ok ? labels.value : {};
}
