import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { writeIdentity } from '../../agent/state.ts';
import {
  openCollector,
  spoolBytes,
  startAgent,
  waitFor,
  weigh,
  type AgentProcess,
  type Collector,
  type Weighed,
} from './agent.ts';
import type { SmallDisk } from '../small-disk.ts';

/** `recoveriesMs`: from the moment at which there is room until the next record is on the disk. */
export type Cycles = Weighed & { readonly recoveriesMs: readonly number[]; readonly exit: number | string | null };

/**
 * Fills the disk that an agent keeps its spool on, and frees it again, time after time, while its collector is away;
 * every second time the collector comes back before there is room.
 */
export async function runCycles(disk: SmallDisk, cycles: number, say: (text: string) => void): Promise<Cycles> {
  const stateDirectory = join(disk.directory, 'state');
  mkdirSync(stateDirectory);
  writeIdentity(stateDirectory, { host: 'host-1', token: 'token-1' });
  const collector = await openCollector();
  const agent = startAgent({ url: collector.url, stateDirectory });
  const recoveriesMs: number[] = [];
  try {
    await waitFor('the first batch', agent, () => collector.batches().length > 0);
    for (let cycle = 1; cycle <= cycles; cycle += 1) {
      recoveriesMs.push(await runCycle({ disk, stateDirectory, collector, agent, cycle }));
      say(`cycle ${cycle} of ${cycles}: a record was on the disk ${recoveriesMs.at(-1)} ms after there was room`);
    }
    const exit = await agent.stop();
    return { ...weigh(collector.batches()), recoveriesMs, exit };
  } finally {
    agent.kill();
    await collector.leave();
    disk.unmount();
  }
}

type Scene = {
  readonly disk: SmallDisk;
  readonly stateDirectory: string;
  readonly collector: Collector;
  readonly agent: AgentProcess;
  readonly cycle: number;
};

async function runCycle({ disk, stateDirectory, collector, agent, cycle }: Scene): Promise<number> {
  await collector.leave();
  await waitFor('a record to wait on the disk', agent, grows(stateDirectory));
  disk.fill();
  await waitFor('a write to fail', agent, () => agent.count('spool.unwritable') === cycle);
  const comesBackEarly = cycle % 2 === 0;
  if (comesBackEarly) await deliverAll(collector, agent);
  const freeMs = Date.now();
  const hasGrown = grows(stateDirectory);
  disk.free();
  await waitFor('a record to be written', agent, hasGrown);
  const recoveryMs = Date.now() - freeMs;
  await waitFor('the agent to say so', agent, () => agent.count('spool.recovered') === cycle);
  if (!comesBackEarly) await deliverAll(collector, agent);
  return recoveryMs;
}

/** Whether there is more in the spool than at the time of this call; files that are done go meanwhile. */
function grows(stateDirectory: string): () => boolean {
  let leastBytes = spoolBytes(stateDirectory);
  return () => {
    const bytes = spoolBytes(stateDirectory);
    leastBytes = Math.min(leastBytes, bytes);
    return bytes > leastBytes;
  };
}

/** What is on the disk can be read, full or not. */
async function deliverAll(collector: Collector, agent: AgentProcess): Promise<void> {
  const newestMs = () => Math.max(...collector.batches().flatMap(({ ticksMs }) => ticksMs));
  const sinceMs = newestMs();
  await collector.comeBack();
  const isWhole = () => weigh(collector.batches()).lost === 0;
  await waitFor('all that waited to be delivered', agent, () => newestMs() > sinceMs && isWhole());
}
