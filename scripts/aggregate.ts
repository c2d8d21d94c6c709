import type { AggregateReport } from '@muster/proto/api';
import { parseSwitch, type Option } from '@muster/proto/options';
import { err, ok } from '@muster/proto/result';

import { parseDay } from '../collector/commands/samples.ts';
import { formatTable } from './format-table.ts';
import { runJobProgram } from './store-job.ts';

const DAY_MS = 86_400_000;

function dayOption(help: string): Option<number | null> {
  return { placeholder: 'DATE', help, default: null, parse: parseDay };
}

const OPTIONS = {
  from: dayOption('the first day, such as 2026-11-01 (UTC)'),
  to: dayOption('the last day'),
  period: {
    placeholder: 'PERIOD',
    help: 'only hours (1h), or only days (1d); without it five minutes, hours and days',
    default: null,
    parse: (text) => (text === '1h' || text === '1d' ? ok(text) : err('1h or 1d')),
  } satisfies Option<'1h' | '1d' | null>,
  force: {
    help: 'everything anew from the samples, not only what is missing or has had late samples; what samples no longer tell stays',
    default: false,
    parse: parseSwitch,
  } satisfies Option<boolean>,
};

process.exit(
  await runJobProgram<typeof OPTIONS, AggregateReport>({
    usage: `aggregate: computes what five minutes, hours and days come to from the samples

  node scripts/aggregate.ts --from 2026-11-01 --to 2026-11-03 --data /var/lib/muster
  node scripts/aggregate.ts --from 2026-11-01 --to 2026-11-03 --period 1h --force

The collector does this by itself, also for what comes late; this is for whoever doubts it.`,
    options: OPTIONS,
    request({ from, to, period, force }) {
      if (from === null || to === null) return err(['Say which days: --from 2026-11-01 --to 2026-11-03']);
      if (to < from) return err(['--to must not be a day before --from']);
      const tiers = period === null ? {} : { tiers: [period] };
      return ok({ job: 'aggregate', options: { fromMs: from, toMs: to + DAY_MS, force, ...tiers } });
    },
    describe,
  }),
);

function describe({ tiers, force, seconds }: AggregateReport): string {
  const table = tiers.map(({ tier, periods, hosts, series, rows, left }) => [
    tier,
    `${periods} ${{ '5m': 'windows', '1h': 'hours', '1d': 'days' }[tier]}`,
    ...[hosts, series, rows, left].map(String),
  ]);
  return [
    ...formatTable(['TIER', 'COMPUTED', 'HOSTS', 'SERIES', 'ROWS', 'LEFT AS THEY WERE'], table),
    '',
    force
      ? 'Rows are left as they were where samples of theirs are gone, or are past their time.'
      : 'Rows are left as they were where nothing was missing; --force computes them anew.',
    `Took ${seconds.toFixed(1)} s.`,
  ].join('\n');
}
