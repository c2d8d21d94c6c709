import type { CleanupReport, CleanupTable } from '@muster/proto/api';
import { parseSwitch, type Option } from '@muster/proto/options';
import { err, ok } from '@muster/proto/result';

import { formatBytes } from './format-bytes.ts';
import { formatTable } from './format-table.ts';
import { runJobProgram } from './store-job.ts';

function flag(help: string): Option<boolean> {
  return { help, default: false, parse: parseSwitch };
}

const OPTIONS = {
  dryRun: flag('say what would go, and what the disk will hold; change nothing'),
  apply: flag('drop what is past its time, whole partitions'),
  optimize: flag(
    'with --apply: merge the parts of partitions that no longer grow, which makes them smaller and quicker to read',
  ),
};

process.exit(
  await runJobProgram<typeof OPTIONS, CleanupReport>({
    usage: `cleanup: drops what the store has kept for longer than it is told to (--keep of the collector)

  node scripts/cleanup.ts --dry-run --data /var/lib/muster
  node scripts/cleanup.ts --apply --optimize --data /var/lib/muster`,
    options: OPTIONS,
    request({ dryRun, apply, optimize }) {
      if (dryRun === apply) return err(['Say either --dry-run, which changes nothing, or --apply, which drops']);
      if (optimize && !apply) return err(['--optimize changes the store: say --apply with it']);
      return ok({ job: 'cleanup', options: { apply, optimize } });
    },
    describe,
  }),
);

function describe({ applied, tables, freeBytes, freeBytesAfter, fullDays, optimized, seconds }: CleanupReport): string {
  const total = tables.reduce((sum, { bytes }) => sum + bytes, 0);
  const projected = tables.reduce((sum, { bytes, projectedBytes }) => sum + (projectedBytes ?? bytes), 0);
  const left = freeBytes + total - projected;
  const lines = [
    ...formatTable(
      ['TIER', 'KEPT', 'ON DISK', 'ROWS', applied ? 'DROPPED' : 'WOULD GO', 'ROWS', 'SAMPLES', 'PROJECTED'],
      tables.map(describeTable),
    ),
    '',
    fullDays === 0
      ? 'Nothing can be projected yet: there is no full day.'
      : `Projected to ${formatBytes(projected)} when every tier is as full as its time allows, were every day like the last ${fullDays === 1 ? 'full one' : `${fullDays} full ones`}: ${left >= 0 ? `${formatBytes(left)} of the disk stay free` : `${formatBytes(-left)} more than the disk has; keep less (--keep of the collector), or give it a larger one`}.`,
    `Free on the disk: ${formatBytes(freeBytes)}${applied ? ` before, ${formatBytes(freeBytesAfter)} now; what was dropped or merged leaves the disk within some minutes` : ''}.`,
  ];
  if (optimized !== null) {
    const skipped = optimized.skipped.length === 0 ? '' : `; too large to merge now: ${optimized.skipped.join(', ')}`;
    lines.push(`Merged ${optimized.partitions} partitions${skipped}.`);
  }
  lines.push(`Took ${seconds.toFixed(1)} s.`);
  return lines.join('\n');
}

function describeTable({ kept, keepDays, rows, bytes, going, projectedBytes }: CleanupTable): readonly string[] {
  const { partitions } = going;
  const span = partitions.length === 0 ? '' : `: ${[...new Set([partitions[0], partitions.at(-1)])].join(' to ')}`;
  return [
    kept,
    `${keepDays} days`,
    formatBytes(bytes),
    String(rows),
    `${partitions.length} partitions${span} (${formatBytes(going.bytes)})`,
    String(going.rows),
    kept === 'raw' ? String(going.samples) : '',
    projectedBytes === null ? '?' : formatBytes(projectedBytes),
  ];
}
