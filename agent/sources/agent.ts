import { formatLabels } from '@muster/proto/labels';
import { ok } from '@muster/proto/result';

import { remember } from '../remember.ts';
import type { Sample, Source } from '../source.ts';

/** Often enough to see what changes, and seldom enough to cost nothing. */
const EVERY_MS = 60_000;

export type AgentOptions = {
  /** What each source has cost: its last run, and the CPU time of all its runs. */
  readonly listCosts: () => readonly { readonly name: string; readonly durationMs: number; readonly cpuMs: number }[];
};

/** What the agent itself costs. */
export function makeAgentSource({ listCosts }: AgentOptions): Source {
  const labelsOf = remember((name) => formatLabels({ 'muster.source': name }));
  return {
    name: 'agent',
    everyMs: EVERY_MS,
    read: () => {
      const { user, system } = process.cpuUsage();
      const samples: Sample[] = [
        { metric: 'muster.agent.cpu_time', labels: '', value: (user + system) / 1e6 },
        { metric: 'muster.agent.memory.usage', labels: '', value: process.memoryUsage.rss() },
      ];
      for (const { name, durationMs, cpuMs } of listCosts()) {
        const labels = labelsOf(name);
        samples.push(
          { metric: 'muster.agent.source.duration', labels, value: Math.round(durationMs * 1e3) / 1e6 },
          { metric: 'muster.agent.source.cpu_time', labels, value: Math.round(cpuMs) / 1e3 },
        );
      }
      return ok({ samples });
    },
  };
}
