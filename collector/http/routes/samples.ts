import * as v from 'valibot';

import type { DropReply } from '@muster/proto/api';
import type { Log } from '@muster/proto/log';

import type { Route } from '../app.ts';
import { refuse } from '../auth.ts';
import { MILLISECONDS } from './milliseconds.ts';

const DAY_MS = 86_400_000;

const QUERY = v.object({ beforeMs: MILLISECONDS });

export type SamplesRouteOptions = {
  readonly dropBefore: (beforeMs: number) => Promise<DropReply>;
  readonly log: Log;
  readonly now: () => number;
};

/** Drops old samples to make room. Nothing is dropped unasked but what is older than it is kept. */
export function makeSamplesRoute({ dropBefore, log, now }: SamplesRouteOptions): Route {
  return {
    method: 'DELETE',
    path: '/api/v1/samples',
    role: 'admin',
    async handle(context) {
      const query = v.safeParse(QUERY, context.req.query());
      if (!query.success) return refuse(context, 400, 'bad-query', 'Say beforeMs in Unix milliseconds');
      // An agent may still hold the last 24 hours; late samples of a day that was dropped would stand alone in their
      // five minutes, and the means of them would be computed anew from those few.
      const latestMs = Math.floor(now() / DAY_MS) * DAY_MS - DAY_MS;
      const { beforeMs } = query.output;
      if (beforeMs > latestMs)
        return refuse(
          context,
          400,
          'bad-range',
          `Today and yesterday stay: say ${formatDay(latestMs)} (UTC; beforeMs ${latestMs}) or a day before it`,
        );
      const reply = await dropBefore(beforeMs);
      log.info('samples.dropped', reply);
      return context.json(reply);
    },
  };
}

function formatDay(dayMs: number): string {
  return new Date(dayMs).toISOString().slice(0, 10);
}
