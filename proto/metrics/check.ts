import { ANY, counter, gauge, signed, type Metric } from './kinds.ts';

const CHECK = ['check.kind', 'check.name', 'service.name'] as const;
const CHECK_PHASE = ['check.kind', 'check.name', 'check.phase', 'service.name'] as const;
const CHECK_ERROR = ['check.kind', 'check.name', 'error.type', 'service.name'] as const;

/**
 * What the checks of this host's owner found when they looked at services. A sample bears the first tick after the run
 * that it is of. 1 - failures / runs is the availability over any range.
 */
export const CHECK_METRICS = {
  'muster.check.up': gauge('1', [CHECK], 1, 'the last run: 1 all was well, 0 not'),
  'muster.check.runs': counter('{run}', [CHECK], 'runs since the agent started'),
  'muster.check.failures': counter(
    '{run}',
    [CHECK, CHECK_ERROR],
    'runs that failed since the agent started; by why, from the first such failure on, which is sent with the next run',
  ),
  'muster.check.duration': gauge(
    's',
    [CHECK, CHECK_PHASE],
    ANY,
    'a run that found all well; of it, by phase: dns, connect, tls, first-byte, transfer',
  ),
  'muster.check.http.status_code': gauge(
    '{status}',
    [CHECK],
    999,
    'the status of the answer, whether or not it is well',
  ),
  'muster.check.tls.expiry': signed(
    's',
    [CHECK],
    'until the first certificate of the chain expires, by the clock of this host; negative: since it has',
  ),
} as const satisfies Record<string, Metric>;
