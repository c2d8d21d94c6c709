import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

import { parseText, type Option, type Values } from '@muster/proto/options';
import { isRecord } from '@muster/proto/record';

import { findKey, TARGET } from '../collector/commands/command.ts';
import { parseJson } from '../web/parse-json.ts';
import { durationOption, runCommand, say } from './command.ts';
import { formatTable } from './format-table.ts';
import { quantile } from './quantile.ts';
import { readClaims, readStanding, type Ask } from './score/read-claims.ts';
import { scoreClaims, type Claim, type Range, type Score, type Truth } from './score/score.ts';

const { url, data, key } = TARGET;
const OPTIONS = {
  truth: {
    placeholder: 'FILE',
    help: 'what simulate.ts wrote with --truth',
    default: 'truth.json',
    parse: parseText,
  } satisfies Option<string>,
  watch: durationOption(
    'listens so long first: what the collector says and does not keep is heard only so (default none)',
    0,
    1_000,
  ),
  past: durationOption('scores so much before the live part too, where --speed let it pass (default none)', 0, 0),
  url,
  data,
  key,
};

const LOOK_MS = 5_000;

async function prove(asked: Values<typeof OPTIONS>): Promise<boolean> {
  const found = findKey({ ...asked, insecureHttp: false, json: false }, (path) => readFileSync(path, 'utf8'));
  if (!found.ok) throw new Error(found.error.join('; '));
  const truth = readTruth(asked.truth);
  const ask: Ask = async <T>(path: string): Promise<T> => {
    const response = await fetch(`${asked.url}${path}`, { headers: { Authorization: `Bearer ${found.value}` } });
    if (!response.ok)
      throw new Error(`Cannot ask ${path}: the collector answers ${response.status} ${await response.text()}`);
    return (await response.json()) as T; // as proto/api.ts has it
  };
  const standing = await listen(ask, asked.watch);
  const range = { fromMs: truth.liveMs - asked.past, toMs: Date.now() };
  print(scoreClaims(truth, [...(await readClaims(ask, range)), ...standing], range), range, truth);
  return true;
}

/** What is said just now, and within a time. */
async function listen(ask: Ask, watchMs: number): Promise<readonly Claim[]> {
  const untilMs = Date.now() + watchMs;
  const claims = [...(await readStanding(ask))];
  if (watchMs > 0) say(`listening until ${new Date(untilMs).toISOString()}`);
  while (Date.now() < untilMs) {
    await sleep(Math.min(LOOK_MS, untilMs - Date.now()));
    claims.push(...(await readStanding(ask)));
  }
  return claims;
}

function readTruth(file: string): Truth {
  const truth = parseJson(readFileSync(file, 'utf8'));
  if (!isRecord(truth) || !Array.isArray(truth['incidents']) || typeof truth['liveMs'] !== 'number')
    throw new Error(`Cannot read ${file}: it is not what simulate.ts writes with --truth`);
  return truth as unknown as Truth; // nobody else writes such
}

function print(score: Score, { fromMs, toMs }: Range, { hosts }: Truth): void {
  const seconds = (ms: readonly number[]): string =>
    ms.length === 0 ? '-' : `${(quantile(ms, 0.5) / 1_000).toFixed(0)} s`;
  const hours = (ms: readonly number[]): string =>
    ms.length === 0 ? '-' : `${(quantile(ms.map(Math.abs), 0.5) / 3_600_000).toFixed(1)} h`;
  const scenarios = score.scenarios.map(({ scenario, incidents, found, detectMs, endMs }) => [
    scenario,
    `${incidents}`,
    `${found}`,
    seconds(detectMs),
    hours(endMs),
  ]);
  const kinds = score.kinds.map(({ kind, claims, right }) => [kind, `${claims}`, `${right}`]);
  console.log(`${hosts} hosts, ${new Date(fromMs).toISOString()} to ${new Date(toMs).toISOString()}\n`);
  for (const line of formatTable(
    ['scenario', 'incidents', 'found', 'found after (median)', 'end off by (median)'],
    scenarios,
  ))
    console.log(line);
  console.log('');
  for (const line of formatTable(['said', 'times', 'right'], kinds)) console.log(line);
  const ratio = (value: number): string => (Number.isNaN(value) ? '-' : value.toFixed(2));
  console.log(`
precision               ${ratio(score.precision)}
recall                  ${ratio(score.recall)}
false per host and day  ${score.falsePerHostDay.toFixed(3)}`);
}

await runCommand({
  usage: `score: compares what a collector said of a made-up fleet with what was true: how much it found and how soon, how much of what it said was right

  node scripts/simulate.ts --data data --scenario all --truth truth.json
  node scripts/score.ts --data data --truth truth.json --watch 2h`,
  options: OPTIONS,
  prove,
});
