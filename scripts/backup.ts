import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

import { describeError } from '@muster/proto/log';
import {
  formatOptions,
  parseOptions,
  parseSwitch,
  type Option,
  type Options,
  type Values,
} from '@muster/proto/options';
import { err, ok, type Result } from '@muster/proto/result';

import type { BackupJobReport } from '../collector/jobs/backup.ts';
import { OPTIONS } from '../collector/config.ts';
import { listBackups, parseName, type Backup } from '../collector/store/backup-folder.ts';
import type { RestoreOptions, RestoreReport } from '../collector/store/restore.ts';
import { runJobProgram } from './store-job.ts';

const FOLDER = {
  backupTo: {
    ...OPTIONS.backupTo,
    help: 'where the backups are, as the collector has it (default backups in the data directory)',
  },
};
const PLACE = {
  ...FOLDER,
  data: { ...OPTIONS.data, help: 'the data directory of the collector (default /var/lib/muster)' },
};
const JSON_OUT = {
  json: { help: 'print JSON, for programs', default: false, parse: parseSwitch } satisfies Option<boolean>,
};
const CREATE = {
  ...FOLDER,
  full: {
    help: 'a full one, not one that stands on the one before',
    default: false,
    parse: parseSwitch,
  } satisfies Option<boolean>,
};
const VERIFY = {
  ...PLACE,
  all: { help: 'every backup, and not one by its name', default: false, parse: parseSwitch } satisfies Option<boolean>,
  ...JSON_OUT,
};
const RESTORE = {
  ...PLACE,
  replace: {
    help: 'move a store that is there aside, to replaced-… beside it',
    default: false,
    parse: parseSwitch,
  } satisfies Option<boolean>,
  ...JSON_OUT,
};

const USAGE = `backup: backs a store up while it is in use, and restores it

  node scripts/backup.ts create [--full]           of a running collector's store, or of one that nobody has open
  node scripts/backup.ts list                      the backups, what they stand on, and when each was verified
  node scripts/backup.ts verify NAME|--all         restores to a scratch place beside the backups and compares every row
  node scripts/backup.ts restore NAME --data DIR   while no collector runs there

The data directory's access key is in no backup. Each command has --help.`;

/** A command whose work is done in this process. `run` gives what is printed: as it is, or as text. */
async function runHere<O extends Options>(
  options: O,
  argv: readonly string[],
  run: (values: Values<O>) => Promise<{ readonly value: unknown; readonly text: string }>,
): Promise<number> {
  if (argv.includes('--help')) {
    process.stdout.write(formatOptions(USAGE, options));
    return 0;
  }
  const values = parseOptions(options, { argv, env: process.env, readFile: (path) => readFileSync(path, 'utf8') });
  if (!values.ok) {
    for (const fault of values.error) process.stderr.write(`${fault}\n`);
    return 2;
  }
  try {
    const { value, text } = await run(values.value);
    process.stdout.write(`${argv.includes('--json') ? JSON.stringify(value, null, 2) : text}\n`);
    return 0;
  } catch (cause) {
    process.stderr.write(`${describeError(cause)}\n`);
    return 1;
  }
}

function folderOf({ backupTo, data }: { readonly backupTo: string; readonly data: string }): string {
  return resolve(backupTo === '' ? join(data, 'backups') : backupTo);
}

function create(argv: readonly string[]): Promise<number> {
  return runJobProgram<typeof CREATE, BackupJobReport>(
    {
      usage: USAGE,
      options: CREATE,
      request: ({ full, backupTo }) =>
        ok({
          job: 'backup',
          options: { full, ...(backupTo === '' ? {} : { to: resolve(backupTo) }) },
          settings: { backupTo },
        }),
      describe: ({ name, parent, rows, bytes, storeBytes, tookMs, folder }) =>
        `${join(folder, name)}: ${parent === null ? 'full' : `on ${parent}`}, ${formatBytes(bytes)} for a store of ${formatBytes(storeBytes)} and ${rows} rows, in ${(tookMs / 1000).toFixed(1)} s`,
    },
    argv,
  );
}

function list(argv: readonly string[]): Promise<number> {
  return runHere({ ...PLACE, ...JSON_OUT }, argv, async (values) => {
    const folder = folderOf(values);
    const backups = await listBackups(folder);
    return { value: { folder, backups: backups.map(summarize) }, text: formatList(folder, backups) };
  });
}

function summarize({ name, manifest }: Backup) {
  const { parent, startedMs, endedMs, bytes, files, schema, muster, verifiedMs } = manifest;
  const rows = Object.values(manifest.tables)
    .flatMap((table) => Object.values(table))
    .reduce((sum, partition) => sum + partition.rows, 0);
  const kind = parent === null ? 'full' : 'incremental';
  return { name, kind, parent, startedMs, endedMs, bytes, files, rows, schema, muster, verifiedMs };
}

function formatList(folder: string, backups: readonly Backup[]): string {
  if (backups.length === 0) return `No backups in ${folder}`;
  const rows = backups
    .map(summarize)
    .map((one) => [
      one.name,
      one.parent ?? 'full',
      formatBytes(one.bytes),
      String(one.rows),
      one.verifiedMs === null ? 'never' : new Date(one.verifiedMs).toISOString().slice(0, 16).replace('T', ' '),
    ]);
  const table = [['name (UTC)', 'stands on', 'size', 'rows', 'verified (UTC)'], ...rows];
  return table
    .map((row) => row.map((cell, i) => (i === 4 ? cell : cell.padEnd([18, 18, 10, 12][i] ?? 0))).join(''))
    .join('\n');
}

/** Of the name that follows the command, which may be missing. */
function takeName(argv: readonly string[]): {
  readonly name: Result<string, string>;
  readonly rest: readonly string[];
} {
  const [first = ''] = argv;
  if (first === '' || first.startsWith('-'))
    return { name: err('say the name of a backup; list shows them'), rest: argv };
  return { name: parseName(first), rest: argv.slice(1) };
}

function refuse(fault: string): number {
  process.stderr.write(`${fault}\n`);
  return 2;
}

function orThrow(name: Result<string, string>): string {
  if (!name.ok) throw new Error(name.error);
  return name.value;
}

async function verify(argv: readonly string[]): Promise<number> {
  const { name, rest } = takeName(argv);
  if (!name.ok && !['--all', '--help'].some((flag) => argv.includes(flag))) return refuse(name.error);
  return runHere(VERIFY, rest, async (values) => {
    const folder = folderOf(values);
    const all = values.all ? (await listBackups(folder)).map((backup) => backup.name) : [orThrow(name)];
    const { verifyBackup } = await loadRestore();
    const reports: RestoreReport[] = [];
    for (const one of all) reports.push(await verifyBackup({ folder, name: one, ...makeContext() }));
    return {
      value: reports,
      text: reports.map((report) => `${describe(report)}: the same as in the store`).join('\n'),
    };
  });
}

async function restore(argv: readonly string[]): Promise<number> {
  const { name, rest } = takeName(argv);
  if (!name.ok && !argv.includes('--help')) return refuse(name.error);
  return runHere(RESTORE, rest, async (values) => {
    const { data, replace: isReplacing } = values;
    const wanted = { folder: folderOf(values), name: orThrow(name), isReplacing };
    const { restoreBackup } = await loadRestore();
    const report = await restoreBackup(data, { ...wanted, ...makeContext() });
    const moved = report.movedTo === null ? '' : `; the store that was there is in ${report.movedTo}`;
    return { value: report, text: `${describe(report)}: restored to ${data}${moved}` };
  });
}

/** The engine shares the threads of Node's pool with the files, as in the collector (collector/main.ts). */
async function loadRestore() {
  process.env['UV_THREADPOOL_SIZE'] ??= '16';
  return import('../collector/store/restore.ts');
}

function makeContext(): Omit<RestoreOptions, 'folder' | 'name'> {
  const cancelling = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => cancelling.abort(new Error(`Cancelled by ${signal}`)));
  let told = '';
  return {
    now: Date.now,
    signal: cancelling.signal,
    onProgress({ step, bytesDone, bytesTotal }) {
      const line = `${step}: ${formatBytes(bytesDone)} of ${formatBytes(bytesTotal)}`;
      if (line !== told) process.stderr.write(`${line}\n`);
      told = line;
    },
  };
}

function describe({ chain, tables, partitions, rows, tookMs }: RestoreReport): string {
  return `${chain.join(' + ')}: ${rows} rows in ${partitions} partitions of ${tables} tables, in ${(tookMs / 1000).toFixed(1)} s`;
}

function formatBytes(bytes: number): string {
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(0)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

async function main([command = '', ...argv]: readonly string[]): Promise<number> {
  switch (command) {
    case 'create':
      return create(argv);
    case 'list':
      return list(argv);
    case 'verify':
      return verify(argv);
    case 'restore':
      return restore(argv);
    case '--help':
      process.stdout.write(`${USAGE}\n`);
      return 0;
    default:
      return refuse(
        `backup ${command === '' ? 'needs a command' : `knows no ${command}`}: create, list, verify or restore; --help tells more`,
      );
  }
}

process.exit(await main(process.argv.slice(2)));
