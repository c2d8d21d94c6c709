import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Values } from '@muster/proto/options';

import { openArchive } from '../collector/store/archive.ts';
import { openEmbedded } from '../collector/store/embedded.ts';
import { migrate } from '../collector/store/migrations.ts';
import type { Engine } from '../collector/store/store.ts';
import { numberOption, runCommand, say } from './command.ts';
import { quantile } from './quantile.ts';
import { fillDay, fillRollup, METRICS_OF_FIRST, nameMetric, type Fleet } from './store-figures/fill.ts';

const OPTIONS = {
  hosts: numberOption({ help: 'hosts', default: 1_000, min: 10 }),
  metrics: numberOption({ help: 'series of each host', default: 12, min: 1, max: METRICS_OF_FIRST }),
  days: numberOption({ unit: 'DAYS', help: 'for how long the means reach back', default: 365, min: 30, max: 400 }),
  rounds: numberOption({ help: 'how often each question is asked', default: 100, min: 10 }),
};

const DAY_MS = 86_400_000;
/** A day that is over; older ones would be deleted soon. */
const FIRST_MS = Math.floor(Date.now() / DAY_MS) * DAY_MS - 2 * DAY_MS;

const METRIC = 'metric = {metric:String}';
const HOST = 'host = {host:String} AND metric IN {metrics:Array(String)}';

/** What is asked, over a time that ends with the day. */
const QUESTIONS = [
  [
    'one metric of the fleet, 24 h by minute',
    1,
    (range: string) =>
      `SELECT toStartOfMinute(ts) AS t, avg(value), max(value) FROM samples WHERE ${METRIC} AND ${range} GROUP BY t ORDER BY t`,
  ],
  [
    '20 metrics of a host, 24 h by 5 minutes',
    1,
    (range: string) =>
      `SELECT metric, toStartOfFiveMinutes(ts) AS t, avg(value) FROM samples WHERE ${HOST} AND ${range} GROUP BY metric, t ORDER BY metric, t`,
  ],
  [
    'one metric of the fleet, 30 days by hour',
    30,
    (range: string) =>
      `SELECT ts AS t, avg(avg), max(max) FROM rollup_1h FINAL WHERE ${METRIC} AND ${range} GROUP BY t ORDER BY t`,
  ],
  [
    '20 metrics of a host, 30 days by hour',
    30,
    (range: string) => `SELECT metric, ts, avg FROM rollup_1h FINAL WHERE ${HOST} AND ${range} ORDER BY metric, ts`,
  ],
  [
    'one metric of the fleet, 365 days by day',
    365,
    (range: string) =>
      `SELECT ts AS t, avg(avg), max(max) FROM rollup_1d FINAL WHERE ${METRIC} AND ${range} GROUP BY t ORDER BY t`,
  ],
  [
    '20 metrics of a host, 365 days by day',
    365,
    (range: string) => `SELECT metric, ts, avg FROM rollup_1d FINAL WHERE ${HOST} AND ${range} ORDER BY metric, ts`,
  ],
] as const;

async function ask(engine: Engine, { hosts, metrics }: Fleet, rounds: number): Promise<void> {
  const names = Array.from({ length: METRICS_OF_FIRST }, (_, number) => nameMetric(number));
  for (const [what, days, makeSql] of QUESTIONS) {
    const column = days === 1 ? 'start' : 'ts';
    const fromS = (FIRST_MS + DAY_MS) / 1000 - days * 86_400;
    const sql = makeSql(`${column} >= toDateTime(${fromS}) AND ${column} < toDateTime(${(FIRST_MS + DAY_MS) / 1000})`);
    const tookMs: number[] = [];
    let rows = 0;
    for (let round = 0; round < rounds; round += 1) {
      const startedMs = performance.now();
      const parameters = {
        metric: names[round % metrics] ?? '',
        metrics: names,
        host: `host-${round % Math.min(10, hosts)}`,
      };
      rows = (await engine.query(sql, parameters)).length;
      tookMs.push(performance.now() - startedMs);
    }
    const [p50, p99] = [0.5, 0.99].map((q) => quantile(tookMs, q).toFixed(0));
    console.log(`${what.padEnd(42)} p50 ${p50} ms, p99 ${p99} ms, ${rows} rows, ${rounds} times`);
  }
}

/** Prints how much room tables take when their parts are merged. */
async function printRoom(engine: Engine, tables: readonly string[]): Promise<void> {
  for (const table of tables) {
    await engine.command(`OPTIMIZE TABLE ${table} FINAL`);
    const [what, held] = table.startsWith('rollup') ? ['rows', 'count()'] : ['samples', 'sum(length(offsetsMs))'];
    const [row] = await engine.query(
      `SELECT (SELECT ${held} FROM ${table}) AS held, count() AS parts, sum(bytes_on_disk) AS bytes
       FROM system.parts WHERE database = currentDatabase() AND active AND table = '${table}'`,
    );
    const [millions, bytes] = [Number(row?.['held']) / 1e6, Number(row?.['bytes']) / Number(row?.['held'])];
    console.log(
      `${table.padEnd(12)}${millions.toFixed(1)} M ${what}, ${Number(row?.['parts'])} parts, ${bytes.toFixed(3)} bytes each`,
    );
  }
}

async function prove({ hosts, metrics, days, rounds }: Values<typeof OPTIONS>): Promise<boolean> {
  const data = mkdtempSync(join(tmpdir(), 'muster-figures-'));
  try {
    const engine = await openEmbedded(data);
    await migrate(engine);
    let toldMs = Date.now();
    const fleet: Fleet = {
      hosts,
      metrics,
      dayMs: FIRST_MS,
      onProgress(samples) {
        if (Date.now() - toldMs < 10_000) return;
        toldMs = Date.now();
        say(`${(samples / 1e6).toFixed(0)} M samples`);
      },
    };
    await fillDay(engine, fleet);
    await printRoom(engine, ['chunks']);
    const { moveNext } = await openArchive(engine, { now: Date.now });
    const cpu = process.cpuUsage();
    while (await moveNext());
    const { user, system } = process.cpuUsage(cpu);
    say(`archived with ${((user + system) / 1e6).toFixed(1)} s of CPU; the means follow`);
    await fillRollup(engine, fleet, '1h', days);
    await fillRollup(engine, fleet, '1d', days);
    await printRoom(engine, ['archive', 'rollup_1h', 'rollup_1d']);
    await ask(engine, fleet, rounds);
    await engine.close();
    return true;
  } finally {
    rmSync(data, { recursive: true, force: true });
  }
}

await runCommand({
  usage: `store-figures: fills a store with a day of samples and a year of means of a fleet, and prints how much room they take and how fast they are read

  node scripts/store-figures.ts
  node scripts/store-figures.ts --hosts 100 --days 30`,
  options: OPTIONS,
  prove,
});
