import { formatOptions, parseOptions, type Option } from '@muster/proto/options';
import { err, ok, type Result } from '@muster/proto/result';

import { runCases, type CaseResult } from './disk-full-cases.ts';
import { runCycles, type Cycles } from './disk-full-cycles.ts';
import { mountSmallDisk, type SmallDisk } from './small-disk.ts';

const USAGE = `agent-disk-full: fills the disk under an agent and frees it again, and tries what else can happen to it

  node scripts/agent-disk-full.ts [options]     as root, where a tmpfs may be mounted; exit code 3 where it may not`;

const OPTIONS = {
  cycles: {
    placeholder: 'N',
    help: 'how often the disk is filled and freed (default 10)',
    default: 10,
    parse: parseCount,
  } satisfies Option<number>,
};

function parseCount(text: string): Result<number, string> {
  return /^\d{1,4}$/.test(text) ? ok(Number(text)) : err('a whole number');
}

const DISK_BYTES = 4 * 1024 * 1024;
const RECOVERY_MS_MAX = 30_000;
const NOT_MOUNTED = 3;

/** Exit code 1: something was lost, or the agent did not go on; 3: no disk could be mounted, and nothing was tried. */
async function main(): Promise<number> {
  const argv = process.argv.slice(2);
  if (argv.includes('--help')) {
    process.stdout.write(formatOptions(USAGE, OPTIONS));
    return 0;
  }
  const options = parseOptions(OPTIONS, { argv, env: process.env, readFile: () => '' });
  if (!options.ok) {
    for (const fault of options.error) console.error(fault);
    return 2;
  }
  const first = mountSmallDisk(DISK_BYTES);
  if (!first.ok) {
    console.error(first.error);
    return NOT_MOUNTED;
  }
  const cycles = await useDisk(first.value, (disk) => runCycles(disk, options.value.cycles, say));
  const cases = await runCases(mount, say);
  console.log(describe(cycles, cases));
  const isSlow = Math.max(...cycles.recoveriesMs) > RECOVERY_MS_MAX;
  const isBad = isSlow || cycles.lost > 0 || cycles.exit !== 0 || cases.some(({ fault }) => fault !== null);
  return isBad ? 1 : 0;
}

function say(text: string): void {
  console.error(text);
}

async function useDisk<T>(disk: SmallDisk, use: (disk: SmallDisk) => Promise<T>): Promise<T> {
  try {
    return await use(disk);
  } finally {
    disk.unmount();
  }
}

function mount(): SmallDisk {
  const disk = mountSmallDisk(DISK_BYTES);
  if (!disk.ok) throw new Error(disk.error);
  return disk.value;
}

function describe({ recoveriesMs, exit, ...ticks }: Cycles, cases: readonly CaseResult[]): string {
  return [
    `cycles ${recoveriesMs.length}, crashes 0, exit ${exit}, longest recovery ${Math.max(...recoveriesMs)} ms`,
    `ticks sampled ${ticks.sampled}, delivered ${ticks.delivered}, told as a gap ${ticks.told}, lost ${ticks.lost}`,
    ...cases.map(({ name, fault }) => `${name.padEnd(36)}${fault ?? 'goes on, lost 0'}`),
  ].join('\n');
}

process.exitCode = await main();
