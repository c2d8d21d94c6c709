import { join, resolve } from 'node:path';

import { parseSwitch, type Option, type Values } from '@muster/proto/options';
import { err, ok, type Result } from '@muster/proto/result';

import type { BackupJobReport } from '../collector/jobs/backup.ts';
import { OPTIONS } from '../collector/config.ts';
import { listBackups, parseName, type Backup } from '../collector/store/backup-folder.ts';
import type { RestoreOptions, RestoreReport } from '../collector/store/restore.ts';
import { formatBytes } from './format-bytes.ts';
import { makeTeller } from './make-teller.ts';
import { followSignals, JSON_OUT, runToEnd, type Answer } from './run-to-end.ts';
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
const LIST = { ...PLACE, ...JSON_OUT };
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
  const run = async (values: Values<typeof LIST>): Promise<Result<Answer, never>> => {
    const folder = folderOf(values);
    const backups = await listBackups(folder);
    return ok({ value: { folder, backups: backups.map(summarize) }, text: formatList(folder, backups) });
  };
  return runToEnd({ usage: USAGE, options: LIST, run }, argv);
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

/** The name that follows a command; and what follows that. */
function takeName(argv: readonly string[]): { readonly name: string | null; readonly rest: readonly string[] } {
  const [first] = argv;
  return first === undefined || first.startsWith('-')
    ? { name: null, rest: argv }
    : { name: first, rest: argv.slice(1) };
}

function parseWanted(name: string | null): Result<string, readonly string[]> {
  const parsed = name === null ? err('say the name of a backup; list shows them') : parseName(name);
  return parsed.ok ? parsed : err([parsed.error]);
}

function verify(argv: readonly string[]): Promise<number> {
  const { name, rest } = takeName(argv);
  const run = async (values: Values<typeof VERIFY>): Promise<Result<Answer, readonly string[]>> => {
    const folder = folderOf(values);
    const wanted = values.all ? ok('') : parseWanted(name);
    if (!wanted.ok) return wanted;
    const all = values.all ? (await listBackups(folder)).map((backup) => backup.name) : [wanted.value];
    const { verifyBackup } = await loadRestore();
    const context = makeContext();
    const reports: RestoreReport[] = [];
    for (const one of all) reports.push(await verifyBackup({ folder, name: one, ...context }));
    const text = reports.map((report) => `${describe(report)}: the same as in the store`).join('\n');
    return ok({ value: reports, text });
  };
  return runToEnd({ usage: USAGE, options: VERIFY, run }, rest);
}

function restore(argv: readonly string[]): Promise<number> {
  const { name, rest } = takeName(argv);
  const run = async (values: Values<typeof RESTORE>): Promise<Result<Answer, readonly string[]>> => {
    const { data, replace: isReplacing } = values;
    const wanted = parseWanted(name);
    if (!wanted.ok) return wanted;
    const { restoreBackup } = await loadRestore();
    const options = { folder: folderOf(values), name: wanted.value, isReplacing, ...makeContext() };
    const report = await restoreBackup(data, options);
    const moved = report.movedTo === null ? '' : `; the store that was there is in ${report.movedTo}`;
    return ok({ value: report, text: `${describe(report)}: restored to ${data}${moved}` });
  };
  return runToEnd({ usage: USAGE, options: RESTORE, run }, rest);
}

/** The engine shares the threads of Node's pool with the files, as in the collector (collector/main.ts). */
async function loadRestore() {
  process.env['UV_THREADPOOL_SIZE'] ??= '16';
  return import('../collector/store/restore.ts');
}

function makeContext(): Omit<RestoreOptions, 'folder' | 'name'> {
  const tell = makeTeller((line) => void process.stderr.write(line), Date.now);
  return {
    now: Date.now,
    signal: followSignals(),
    onProgress: ({ step, bytesDone, bytesTotal }) =>
      tell({ done: bytesDone, total: bytesTotal, what: `bytes, ${step}` }),
  };
}

function describe({ chain, tables, partitions, rows, tookMs }: RestoreReport): string {
  return `${chain.join(' + ')}: ${rows} rows in ${partitions} partitions of ${tables} tables, in ${(tookMs / 1000).toFixed(1)} s`;
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
      process.stderr.write(
        `backup ${command === '' ? 'needs a command' : `knows no ${command}`}: create, list, verify or restore; --help tells more\n`,
      );
      return 2;
  }
}

process.exit(await main(process.argv.slice(2)));
