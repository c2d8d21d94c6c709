import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Values } from '@muster/proto/options';

import { openEmbedded } from '../collector/store/embedded.ts';
import { migrate } from '../collector/store/migrations.ts';
import { openVersions, rollUpDue, writeRollup5m } from '../collector/store/rollup.ts';
import { numberOption, runCommand, say } from './command.ts';
import { fillChunks } from './rollup-cost/fill-chunks.ts';
import { readUsage } from './usage.ts';

const OPTIONS = {
  hosts: numberOption({ help: 'hosts', default: 1_000, min: 1 }),
  metrics: numberOption({ help: 'series of each host', default: 60, min: 1 }),
  hours: numberOption({ help: 'hours that are rolled up, whole days from 24', default: 1, min: 1 }),
};

const EVERY_MS = 10_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
/** A day that is over; older ones would be deleted soon. */
const FROM_MS = Math.floor(Date.now() / DAY_MS) * DAY_MS - 7 * DAY_MS;

async function prove({ hosts, metrics, hours }: Values<typeof OPTIONS>): Promise<boolean> {
  const data = mkdtempSync(join(tmpdir(), 'muster-rollup-'));
  try {
    const engine = await openEmbedded(data);
    await migrate(engine);
    const versions = await openVersions(engine, Date.now);
    const measure = async (what: string, task: () => Promise<void>): Promise<void> => {
      writeFileSync('/proc/self/clear_refs', '5'); // from here on the most that is resident is counted anew
      const cpu = process.cpuUsage();
      const startedMs = performance.now();
      await task();
      const { user, system } = process.cpuUsage(cpu);
      const { rssBytesMax } = readUsage(process.pid);
      console.log(
        `${what.padEnd(12)} CPU ${((user + system) / 1e6).toFixed(2)} s, wall ${((performance.now() - startedMs) / 1000).toFixed(2)} s, RSS ${(rssBytesMax / 1e6).toFixed(0)} MB at most`,
      );
    };
    const samples = (hosts * metrics * hours * HOUR_MS) / EVERY_MS;
    say(`${samples / 1e6} M samples of ${hosts} hosts, ${metrics} series each, ${EVERY_MS / 1000} s apart`);
    for (let hour = 0; hour < hours; hour += 1) {
      const fromMs = FROM_MS + hour * HOUR_MS;
      const all = { hosts, metrics, fromMs, toMs: fromMs + HOUR_MS, everyMs: EVERY_MS };
      await fillChunks(engine, all);
      await engine.command('INSERT INTO chunks SELECT * FROM chunks_next');
      await measure('5 minutes', () => writeRollup5m(engine, versions.next()));
      await engine.command('TRUNCATE TABLE chunks_next');
    }
    // Hours first, then whole days.
    const untilMs = FROM_MS + hours * HOUR_MS + HOUR_MS - 1;
    await measure('hours, days', () => rollUpDue(engine, { versions, now: () => untilMs }));
    const rows = await engine.query(
      `SELECT '5m' AS tier, count() AS n FROM rollup_5m FINAL UNION ALL SELECT '1h', count() FROM rollup_1h FINAL
       UNION ALL SELECT '1d', count() FROM rollup_1d FINAL`,
    );
    for (const row of rows) console.log(`${String(row['tier'])}: ${Number(row['n'])} rows`);
    await engine.close();
    return true;
  } finally {
    rmSync(data, { recursive: true, force: true });
  }
}

await runCommand({
  usage: `rollup-cost: fills a store with samples of a fleet, and prints what it costs to roll them up

  node scripts/rollup-cost.ts
  node scripts/rollup-cost.ts --hours 24`,
  options: OPTIONS,
  prove,
});
