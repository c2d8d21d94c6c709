import { closeSync, existsSync, mkdirSync, openSync, readdirSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';

import { describeError } from '@muster/proto/log';

import { writeIdentity } from '../../agent/state.ts';
import {
  fileHolds,
  openCollector,
  spoolBytes,
  startAgent,
  waitFor,
  weigh,
  type AgentOptions,
  type AgentProcess,
  type Collector,
} from './agent.ts';
import type { SmallDisk } from '../small-disk.ts';

/** What an agent did in one bad situation; it went well where `fault` is null. */
export type CaseResult = { readonly name: string; readonly fault: string | null };

type Case = {
  readonly name: string;
  /** Gives what was wrong, and throws when what must happen does not. */
  readonly run: (disk: SmallDisk, stateDirectory: string) => Promise<string | null>;
};

const CASES: readonly Case[] = [
  { name: 'the disk is full at the start', run: (disk, state) => runUnwritable(state, disk.fill, disk.free) },
  {
    name: 'the state directory is read-only',
    run: (disk, state) =>
      runUnwritable(
        state,
        () => disk.setWritable(false),
        () => disk.setWritable(true),
      ),
  },
  { name: 'the log is on the full disk too', run: runFullLog },
  { name: 'the spool directory is removed', run: (_, state) => runDamage(state, removeSpool) },
  { name: 'the spool files are cut to nothing', run: (_, state) => runDamage(state, cutSpool) },
  { name: 'the spool alone fills the disk', run: runSpoolFillsDisk },
  { name: 'the disk is full at enrolment', run: runEnrolment },
];

/** All at once, each on a disk of its own. */
export function runCases(mount: () => SmallDisk, say: (text: string) => void): Promise<readonly CaseResult[]> {
  return Promise.all(
    CASES.map(async ({ name, run }) => {
      const disk = mount();
      try {
        const stateDirectory = join(disk.directory, 'state');
        mkdirSync(stateDirectory);
        const fault = await run(disk, stateDirectory).catch(describeError);
        say(`${name}: ${fault ?? 'as it should be'}`);
        return { name, fault };
      } finally {
        disk.unmount();
      }
    }),
  );
}

/** Runs an agent that has joined, as `act` wants it; it must end in order then, with every tick delivered or told. */
async function withAgent(
  options: Omit<AgentOptions, 'url'>,
  act: (agent: AgentProcess, collector: Collector) => Promise<void>,
): Promise<string | null> {
  const collector = await openCollector();
  const agent = startAgent({ ...options, url: collector.url });
  try {
    await act(agent, collector);
    const exit = await agent.stop();
    const { delivered, told, lost } = weigh(collector.batches());
    return exit === 0 && lost === 0 && delivered > 0
      ? null
      : `exit ${exit}, ${delivered} ticks delivered, ${told} told, ${lost} lost`;
  } finally {
    agent.kill();
    await collector.leave();
  }
}

function tickCount(collector: Collector): number {
  return weigh(collector.batches()).delivered;
}

/** Nothing can be written between `obstruct` and `clear`: it delivers from memory, and writes as soon as it can. */
async function runUnwritable(stateDirectory: string, obstruct: () => void, clear: () => void): Promise<string | null> {
  writeIdentity(stateDirectory, { host: 'host-1', token: 'token-1' });
  obstruct();
  return withAgent({ stateDirectory }, async (agent, collector) => {
    await waitFor('a write to fail', agent, () => agent.count('spool.unwritable') > 0);
    await waitFor('ticks from memory', agent, () => tickCount(collector) >= 6);
    clear();
    await waitFor('a write to go through', agent, () => agent.count('spool.recovered') > 0);
  });
}

async function runFullLog(disk: SmallDisk, stateDirectory: string): Promise<string | null> {
  writeIdentity(stateDirectory, { host: 'host-1', token: 'token-1' });
  const log = join(disk.directory, 'log');
  const logDescriptor = openSync(log, 'a');
  try {
    disk.fill();
    return await withAgent({ stateDirectory, logDescriptor }, async (agent, collector) => {
      await waitFor('ticks from memory', agent, () => tickCount(collector) >= 6);
      disk.free();
      await waitFor('the log to go on', agent, () => fileHolds(log, 'spool.recovered'));
    });
  } finally {
    closeSync(logDescriptor);
  }
}

/** What waited is gone, and told; what comes after that is written anew. */
async function runDamage(stateDirectory: string, damage: (spool: string) => void): Promise<string | null> {
  writeIdentity(stateDirectory, { host: 'host-1', token: 'token-1' });
  return withAgent({ stateDirectory }, async (agent, collector) => {
    await leaveRecords(stateDirectory, agent, collector);
    damage(join(stateDirectory, 'spool'));
    const damagedBytes = spoolBytes(stateDirectory);
    await waitFor('records to be written again', agent, () => spoolBytes(stateDirectory) > damagedBytes);
    const before = tickCount(collector);
    await collector.comeBack();
    await waitFor(
      'the next ticks',
      agent,
      () => tickCount(collector) > before && weigh(collector.batches()).lost === 0,
    );
  });
}

/** The collector goes away, and records wait on the disk. */
async function leaveRecords(stateDirectory: string, agent: AgentProcess, collector: Collector): Promise<void> {
  await waitFor('the first batch', agent, () => tickCount(collector) > 0);
  await collector.leave();
  const beforeBytes = spoolBytes(stateDirectory);
  await waitFor('records to wait', agent, () => spoolBytes(stateDirectory) > beforeBytes);
}

function removeSpool(spool: string): void {
  rmSync(spool, { recursive: true });
}

function cutSpool(spool: string): void {
  for (const name of readdirSync(spool)) truncateSync(join(spool, name));
}

/** What the collector has taken makes room, though nothing more can be written. */
async function runSpoolFillsDisk(disk: SmallDisk, stateDirectory: string): Promise<string | null> {
  writeIdentity(stateDirectory, { host: 'host-1', token: 'token-1' });
  return withAgent({ stateDirectory }, async (agent, collector) => {
    await leaveRecords(stateDirectory, agent, collector);
    // As if the records themselves had taken all the room: nobody makes any.
    disk.fill();
    await waitFor('a write to fail', agent, () => agent.count('spool.unwritable') > 0);
    await collector.comeBack();
    await waitFor('a write to go through', agent, () => agent.count('spool.recovered') > 0);
  });
}

/** Pages that are left, from none to more than an agent needs to join. */
const PAGES_LEFT_MAX = 6;

/** However little room there is: either the token is not used, or the identity is kept. */
async function runEnrolment(disk: SmallDisk): Promise<string | null> {
  const faults: string[] = [];
  for (let pages = 0; pages <= PAGES_LEFT_MAX; pages += 1) {
    const fault = await enrolWith(disk, pages);
    if (fault !== null) faults.push(`${pages} pages left: ${fault}`);
  }
  return faults.length === 0 ? null : faults.join('; ');
}

async function enrolWith(disk: SmallDisk, pages: number): Promise<string | null> {
  const stateDirectory = join(disk.directory, `state-${pages}`);
  const root = join(disk.directory, 'no-root');
  mkdirSync(stateDirectory);
  disk.fill(4096 * pages);
  const collector = await openCollector();
  const agent = startAgent({ url: collector.url, stateDirectory, token: 'enrolment', argv: ['--root', root] });
  try {
    const identity = join(stateDirectory, 'identity.json');
    await waitForEnd(agent, () => existsSync(identity));
    const isKept = fileHolds(identity, 'token-1');
    if (!agent.hasEnded()) await agent.stop();
    if (isKept) return collector.enrolments() === 1 ? null : `joined ${collector.enrolments()} times`;
    if (collector.enrolments() > 0) return 'the token was used, and the identity is not kept';
    return agent.stderr().includes('make it writable') || agent.stderr().includes('make room')
      ? null
      : `it does not say what to do: ${agent.stderr().slice(-300)}`;
  } finally {
    agent.kill();
    await collector.leave();
    disk.free();
    rmSync(stateDirectory, { recursive: true, force: true });
  }
}

/** Until it has ended, or `isSo`. */
async function waitForEnd(agent: AgentProcess, isSo: () => boolean): Promise<void> {
  await waitFor('the agent to join or to end', { ...agent, hasEnded: () => false }, () => agent.hasEnded() || isSo());
}
