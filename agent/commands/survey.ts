import { setTimeout as sleep } from 'node:timers/promises';

import { describeError } from '@muster/proto/log';
import { err, ok } from '@muster/proto/result';

import type { Config } from '../config.ts';
import { findHolder } from '../lock.ts';
import { makeMeter, readProcessClocks, type Cost } from '../meter.ts';
import { KEEP_NOTHING } from '../rebase.ts';
import type { Finding, ReadResult, Source } from '../source.ts';
import { isOn, openSources, SOURCE_NAMES, SOURCES } from '../sources.ts';
import { within } from '../within.ts';

/** Between the two readings: rates and shares are over this time. */
const BETWEEN_MS = 1_000;
/** How long sources are waited for that do not say how long they may take. */
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

/**
 * Reads every source that is on, twice, since much is known only from what happened in between. Nothing is sent. What is
 * looked at beside the readings, such as checks, is waited for.
 */
export async function survey({
  root,
  sources: settings,
  checks,
  stateDirectory,
}: Config): Promise<readonly Surveyed[]> {
  const holder = findHolder(stateDirectory);
  const taken =
    holder === null ? [] : SOURCE_NAMES.filter((name) => isOn(name, settings) && 'listens' in SOURCES[name]);
  const off = Object.fromEntries(taken.map((name) => [name, false]));
  const sources = await openSources(
    { ...settings, ...off },
    {
      root,
      now: Date.now,
      listCosts: () => [],
      checks,
      readClockOffset: () => null,
      keepFor: () => KEEP_NOTHING,
    },
  );
  try {
    const remark = `the agent that runs (process ${holder}) listens there`;
    const nothing = { reading: ok({ samples: [], remark }), cost: { durationMs: 0, cpuMs: 0 }, findings: [] };
    return [...taken.map((name) => Object.assign({ name }, nothing)), ...(await surveySources(sources))];
  } finally {
    for (const source of sources.toReversed()) await source.close?.();
  }
}

/** Of a source that has not answered by the second time, the first answer is waited for: it is not read twice at once. */
export async function surveySources(sources: readonly Source[]): Promise<readonly Surveyed[]> {
  const meter = makeMeter(readProcessClocks());
  const underWay = new Map<Source, Promise<ReadResult>>();
  const read = (source: Source) => {
    const reading = underWay.get(source) ?? readSource(source).finally(() => underWay.delete(source));
    underWay.set(source, reading);
    const answerMsMax = source.answerMsMax ?? ANSWER_MS_MAX;
    return within(reading, answerMsMax, err(`it does not answer within ${answerMsMax / 1000} s`));
  };
  for (const source of sources) await read(source);
  // What has not been looked at by then is not in the reading, and the source says so.
  const settling = sources.flatMap(({ settle }) => (settle === undefined ? [] : within(settle(), SETTLE_MS_MAX, null)));
  await Promise.all([sleep(BETWEEN_MS), ...settling]);
  const surveyed: Surveyed[] = [];
  for (const source of sources) {
    meter.begin();
    const { value: reading, cost } = await meter.measure(() => read(source));
    const findings = (await source.diagnose?.()) ?? [];
    surveyed.push({ name: source.name, reading, cost, findings });
  }
  return surveyed;
}

async function readSource(source: Source): Promise<ReadResult> {
  try {
    return await source.read();
  } catch (cause) {
    return err(describeError(cause));
  }
}
