import { ALL, ANY, counter, gauge, type Metric } from './kinds.ts';

const SOURCE = ['muster.source'] as const;
const REASON = ['muster.reason'] as const;

/** How the agent fares with what services of the host tell it: StatsD, OTLP, files in the Prometheus format. */
export const CUSTOM_METRICS = {
  'muster.agent.series.count': gauge('{series}', [SOURCE], ANY, 'custom series that the source has room for and keeps'),
  'muster.agent.series.dropped': counter(
    '{sample}',
    [SOURCE],
    'values left out because their series is beyond the limit of custom series',
  ),
  'muster.agent.samples.refused': counter(
    '{sample}',
    [['muster.reason', 'muster.source']],
    'values left out for another reason: malformed, name, reserved, labels, value, kind, origin, taken',
  ),
  'muster.agent.statsd.packets': counter('{packet}', ALL, 'UDP packets that were read'),
  'muster.agent.statsd.packets.dropped': counter(
    '{packet}',
    [REASON],
    'queue: the kernel dropped them, as proc/net/udp counts; flood: nobody listened, to spare the host, at most so many',
  ),
  'muster.agent.otlp.requests': counter('{request}', [['http.response.status_code']], 'answers to OTLP exports'),
  'muster.agent.textfile.age': gauge('s', [['muster.file']], ANY, 'since the file was last written'),
} as const satisfies Record<string, Metric>;
