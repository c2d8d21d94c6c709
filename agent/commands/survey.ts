import { setTimeout as sleep } from 'node:timers/promises';

import { describeError } from '@muster/proto/log';
import { err } from '@muster/proto/result';

import type { Config } from '../config.ts';
import { makeMeter, readProcessClocks, type Cost } from '../meter.ts';
import { KEEP_NOTHING } from '../rebase.ts';
import type { Finding, ReadResult, Source } from '../source.ts';
import { openSources } from '../sources.ts';

/** Between the two readings: rates and shares are over this time. */
const BETWEEN_MS = 1_000;
/** How long sources that wait for others are waited for. */
const ANSWER_MS_MAX = 10_000;
/** The same for what they look at beside their readings. */
const SETTLE_MS_MAX = 60_000;

/** What one source had to say, the second time it was asked, and what that cost. */
export type Surveyed = {
  readonly name: string;
  readonly reading: ReadResult;
  readonly cost: Cost;
  readonly findings: readonly Finding[];
};

/** Reads every source that is on, twice, since much is known only from what happened in between. Nothing is sent. */
export async function survey({ root, sources: settings, checks }: Config): Promise<readonly Surveyed[]> {
  const sources = await openSources(settings, {
    root,
    now: Date.now,
    listCosts: () => [],
    checks,
    readClockOffset: () => null,
    keepFor: () => KEEP_NOTHING,
  });
  try {
    const meter = makeMeter(readProcessClocks());
    for (const source of sources) await readSource(source);
    await Promise.all([sleep(BETWEEN_MS), ...sources.map(settle)]);
    const surveyed: Surveyed[] = [];
    for (const source of sources) {
      meter.begin();
      const { value: reading, cost } = await meter.measure(() => readSource(source));
      const findings = (await source.diagnose?.()) ?? [];
      surveyed.push({ name: source.name, reading, cost, findings });
    }
    return surveyed;
  } finally {
    for (const source of sources.toReversed()) await source.close?.();
  }
}

/** What has not been looked at by then is not in the reading, and the source says so. */
async function settle(source: Source): Promise<void> {
  if (source.settle === undefined) return;
  const giveUp = new AbortController();
  const over = sleep(SETTLE_MS_MAX, undefined, giveUp);
  await Promise.race([source.settle(), over]);
  over.catch(() => undefined); // its end is no news
  giveUp.abort();
}

async function readSource(source: Source): Promise<ReadResult> {
  const giveUp = new AbortController();
  const over = sleep(ANSWER_MS_MAX, err(`it does not answer within ${ANSWER_MS_MAX / 1000} s`), giveUp);
  try {
    return await Promise.race([source.read(), over]);
  } catch (cause) {
    return err(describeError(cause));
  } finally {
    over.catch(() => undefined); // its end is no news
    giveUp.abort();
  }
}
