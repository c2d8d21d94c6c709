import { numberOption, runCommand, say } from './command.ts';
import { runCases, type CaseResult } from './disk-full/agent-cases.ts';
import { runCycles, type Cycles } from './disk-full/agent-cycles.ts';
import { mountSmallDisk } from './small-disk.ts';

const DISK_BYTES = 4 * 1024 * 1024;
const RECOVERY_MS_MAX = 30_000;

async function prove(options: { readonly cycles: number }): Promise<boolean> {
  const cycles = await runCycles(mountSmallDisk(DISK_BYTES), options.cycles, say);
  const cases = await runCases(() => mountSmallDisk(DISK_BYTES), say);
  console.log(describe(cycles, cases));
  const isSlow = Math.max(...cycles.recoveriesMs) > RECOVERY_MS_MAX;
  return !isSlow && cycles.lost === 0 && cycles.exit === 0 && cases.every(({ fault }) => fault === null);
}

function describe({ recoveriesMs, exit, ...ticks }: Cycles, cases: readonly CaseResult[]): string {
  return [
    `cycles ${recoveriesMs.length}, crashes 0, exit ${exit}, longest recovery ${Math.max(...recoveriesMs)} ms`,
    `ticks sampled ${ticks.sampled}, delivered ${ticks.delivered}, told as a gap ${ticks.told}, lost ${ticks.lost}, not sampled ${ticks.fellOut}`,
    ...cases.map(({ name, fault }) => `${name.padEnd(36)}${fault ?? 'goes on, lost 0'}`),
  ].join('\n');
}

await runCommand({
  usage: `agent-disk-full: fills the disk under an agent and frees it again, and tries what else can happen to that disk;
proves that the agent goes on, writes again within ${RECOVERY_MS_MAX / 1_000} s of there being room, and loses nothing. Takes root, for a tmpfs.

  node scripts/agent-disk-full.ts --cycles 10`,
  options: {
    cycles: numberOption({ unit: 'TIMES', help: 'how often the disk is filled and freed', default: 10, min: 1 }),
  },
  prove,
});
