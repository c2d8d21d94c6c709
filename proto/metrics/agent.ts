import { ALL, ANY, counter, gauge, type Metric } from './kinds.ts';

const SOURCE = ['muster.source'] as const;

/** What the agent costs the host, once a minute: as a whole, and each of its sources. */
export const AGENT_METRICS = {
  'muster.agent.cpu_time': counter('s', ALL, 'getrusage of the agent since it started'),
  'muster.agent.memory.usage': gauge('By', ALL, ANY, 'resident memory of the agent'),
  'muster.agent.source.duration': gauge('s', [SOURCE], ANY, 'how long the last run of the source took'),
  'muster.agent.source.cpu_time': counter(
    's',
    [SOURCE],
    'CPU time of the runs of the source, and of taking in what others send to it, since the agent started',
  ),
} as const satisfies Record<string, Metric>;
