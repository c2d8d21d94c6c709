import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { writeIdentity } from '../../agent/state.ts';
import { createEnrolmentToken, enrolHost, ENROLMENTS_AT_ONCE } from '../enrol.ts';
import type { RunningCollector } from '../start-collector.ts';
import { joinCounts } from '../tally.ts';
import { startWorker } from '../worker-process.ts';
import type { Counts } from './count.ts';
import type { Delay, HerdAgent, HerdOrder, HerdReply } from './generator.ts';

/** The ticks that every host has taken. */
export type Ledger = ReadonlyMap<string, readonly number[]>;

export type Fleet = {
  /** From now on, the first acknowledgement of an agent is its first after the outage. */
  readonly recovering: () => Promise<void>;
  readonly count: () => Promise<Counts>;
  /** Ends all agents in order. */
  readonly stop: () => Promise<{ readonly counts: Counts; readonly ledger: Ledger; readonly delays: readonly Delay[] }>;
  readonly kill: () => void;
};

export type FleetOptions = {
  readonly url: string;
  readonly agents: readonly HerdAgent[];
  readonly generators: number;
  readonly metrics: number;
  readonly everyMs: number;
  readonly seed: number;
};

/** Starts agents in processes of their own, an equal share in each. */
export async function startFleet({ agents, generators, ...same }: FleetOptions): Promise<Fleet> {
  const children = Array.from({ length: generators }, () =>
    startWorker<HerdOrder, HerdReply>(join(import.meta.dirname, 'generator.ts')),
  );
  await Promise.all(
    children.map((child, i) =>
      child.ask({ kind: 'start', ...same, agents: agents.filter((_, at) => at % generators === i) }),
    ),
  );
  const askAll = (kind: 'recovering' | 'count' | 'stop') => Promise.all(children.map((child) => child.ask({ kind })));
  return {
    recovering: async () => void (await askAll('recovering')),
    count: async () => joinReplies(await askAll('count')),
    stop: async () => {
      const replies = await askAll('stop');
      const ends = replies.filter((reply) => reply.kind === 'stopped');
      const ledger = new Map(ends.flatMap((end) => end.ledger));
      return { counts: joinReplies(replies), ledger, delays: ends.flatMap((end) => end.delays) };
    },
    kill: () => {
      for (const child of children) child.kill();
    },
  };
}

function joinReplies(replies: readonly HerdReply[]): Counts {
  const all = replies.flatMap((reply) => ('counts' in reply ? [reply.counts] : []));
  return {
    requests: joinCounts(all.map(({ requests }) => requests)),
    samples: joinCounts(all.map(({ samples }) => samples)),
    statuses: joinCounts(all.map(({ statuses }) => statuses)),
    errors: joinCounts(all.map(({ errors }) => errors)),
    returns: all.flatMap(({ returns }) => returns),
    cpuMs: all.reduce((sum, { cpuMs }) => sum + cpuMs, 0),
    rssBytes: all.reduce((sum, { rssBytes }) => sum + rssBytes, 0),
    stalledMs: Math.max(...all.map(({ stalledMs }) => stalledMs)),
  };
}

export type EnrolmentOptions = {
  readonly collector: RunningCollector;
  readonly directory: string;
  readonly count: number;
  readonly onProgress: (enrolled: number) => void;
};

/** Lets hosts join with one token for all, each with a state directory of its own that holds its identity. */
export async function enrolFleet(options: EnrolmentOptions): Promise<readonly HerdAgent[]> {
  const { collector, directory, count, onProgress } = options;
  const enrolmentToken = await createEnrolmentToken(collector, count);
  const agents: HerdAgent[] = [];
  let next = 0;
  const enrolSome = async (): Promise<void> => {
    for (let number = next++; number < count; number = next++) {
      const name = `herd-${String(number).padStart(5, '0')}`;
      const identity = await enrolHost(collector, name, enrolmentToken);
      const stateDirectory = join(directory, name);
      mkdirSync(stateDirectory);
      writeIdentity(stateDirectory, identity);
      agents.push({ number, ...identity, stateDirectory });
      onProgress(agents.length);
    }
  };
  await Promise.all(Array.from({ length: ENROLMENTS_AT_ONCE }, enrolSome));
  return agents;
}
