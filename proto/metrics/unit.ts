import { ANY, counter, gauge, type Metric } from './kinds.ts';

const UNIT = [['systemd.unit.name']] as const;

/** The units of systemd, named as the OpenTelemetry collector's receiver for it names them. */
export const UNIT_METRICS = {
  'systemd.unit.count': gauge('{unit}', [['systemd.unit.active_state']], ANY, 'ListUnits of the manager on the bus'),
  'systemd.unit.state': gauge(
    '{unit}',
    [['systemd.unit.active_state', 'systemd.unit.name']],
    1,
    'ListUnits: 1 for the state that the unit is in, 0 for those in which it was',
  ),
  'systemd.service.restarts': counter('{restart}', UNIT, 'NRestarts: how often systemd has started it again by itself'),
  'systemd.service.cpu.time': counter('s', UNIT, 'cgroup cpu.stat usage_usec; v1: cpuacct.usage'),
  'systemd.service.memory.usage': gauge(
    'By',
    UNIT,
    ANY,
    'cgroup memory.current; v1: memory.usage_in_bytes; with its page cache',
  ),
  'systemd.service.tasks': gauge('{task}', UNIT, ANY, 'cgroup pids.current: processes and threads'),
} as const satisfies Record<string, Metric>;
