import type { Context } from 'hono';
import * as v from 'valibot';

import { refuse } from '../auth.ts';
import { MILLISECONDS } from './milliseconds.ts';

const DAY_MS = 86_400_000;
/** What a host sent besides its samples is kept for 30 days. */
const RANGE_MS_MAX = 31 * DAY_MS;

const QUERY = v.object({ fromMs: v.optional(MILLISECONDS), toMs: v.optional(MILLISECONDS) });

export type Range = { readonly fromMs: number; readonly toMs: number };

/** The range that a request asks for, by default the last 24 hours; or the refusal of one that is none. */
export function readRange(context: Context, nowMs: number): Range | Response {
  const query = v.safeParse(QUERY, context.req.query());
  if (!query.success)
    return refuse(context, 400, 'bad-query', 'Ask with fromMs and toMs in Unix milliseconds, or without');
  const toMs = query.output.toMs ?? nowMs;
  const fromMs = query.output.fromMs ?? Math.max(0, toMs - DAY_MS);
  if (toMs <= fromMs) return refuse(context, 400, 'bad-range', `toMs must be after fromMs, was ${toMs} and ${fromMs}`);
  if (toMs - fromMs > RANGE_MS_MAX) return refuse(context, 400, 'bad-range', 'A range may be 31 days at most');
  return { fromMs, toMs };
}
