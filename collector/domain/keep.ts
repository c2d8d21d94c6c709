import { err, ok, type Result } from '@muster/proto/result';

/** The tables of one history, the most detailed first: samples, and what those of five minutes, an hour, a day come to. */
export const TIERS = ['raw', '5m', '1h', '1d'] as const;
export type Tier = (typeof TIERS)[number];

/** How long each tier is kept, in days. */
export type Keep = Readonly<Record<Tier, number>>;

export const KEEP_DEFAULT: Keep = { raw: 30, '5m': 90, '1h': 365, '1d': 365 };

/** A hundred years: the engine's instants end in 2106. */
const DAYS_MAX = 36_500;
/** An agent may hold the last 24 hours, and the last hour and day are rolled up from samples when they are over. */
const RAW_DAYS_MIN = 2;

const WANTED = 'days for each tier, such as raw=30,5m=90,1h=365,1d=365';

/** Reads `raw=30,1h=400`; the other tiers are not in it. */
export function parseKeep(text: string): Result<Partial<Keep>, string> {
  const keep: Partial<Record<Tier, number>> = {};
  for (const part of text.split(',')) {
    const [name = '', days = '', ...rest] = part.trim().split('=');
    const tier = TIERS.find((one) => one === name);
    if (tier === undefined || rest.length > 0 || !/^\d{1,5}$/.test(days)) return err(WANTED);
    if (keep[tier] !== undefined) return err(`${WANTED}, each once`);
    if (Number(days) < 1 || Number(days) > DAYS_MAX) return err(`${WANTED}, from 1 to ${DAYS_MAX} days`);
    keep[tier] = Number(days);
  }
  return ok(keep);
}

/** What is wrong with days that are right one by one; null: nothing. */
export function findKeepFault(keep: Keep): string | null {
  if (keep.raw < RAW_DAYS_MIN)
    return `raw=${keep.raw} would drop samples that an agent may still hold, and days before they are rolled up; keep raw for ${RAW_DAYS_MIN} days or more`;
  for (const [i, tier] of TIERS.entries()) {
    const finer = TIERS[i - 1];
    if (finer === undefined || keep[finer] <= keep[tier]) continue;
    return `${finer}=${keep[finer]} would outlast ${tier}=${keep[tier]}, which is what long charts read; keep ${tier} for ${keep[finer]} days or more, or ${finer} for ${keep[tier]} or less`;
  }
  return null;
}

/** `raw=30,5m=90,1h=365,1d=365` */
export function formatKeep(keep: Keep): string {
  return TIERS.map((tier) => `${tier}=${keep[tier]}`).join(',');
}
