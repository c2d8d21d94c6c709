import { ANY, counter, gauge, type Metric } from './kinds.ts';

const NAME = ['container.name'] as const;
const INFO = ['container.id', 'container.image.name', 'container.image.tags', 'container.name'] as const;
const COMPOSE_INFO = ['com.docker.compose.project', 'com.docker.compose.service', ...INFO] as const;

/**
 * What a container engine and the kernel say of containers. One keeps its name when it is made anew, and with that its
 * history; counters go on over that, from 0 when the agent starts.
 */
export const CONTAINER_METRICS = {
  'container.count': gauge(
    '{container}',
    [['container.state']],
    ANY,
    'list of the engine: all that there are, by state',
  ),
  'container.info': gauge(
    '{container}',
    [INFO, COMPOSE_INFO],
    1,
    'list of the engine: always 1; says which container has the name',
  ),
  'container.state': gauge(
    '{container}',
    [['container.name', 'container.state']],
    1,
    'list of the engine: 1 for the state that it is in, 0 for those that it was in since the agent started',
  ),
  'container.health': gauge(
    '{container}',
    [['container.health', 'container.name']],
    1,
    'health check of the image: 1 for what it says, 0 for what it said since the agent started',
  ),
  'container.restart.count': gauge('{restart}', [NAME], ANY, 'inspection: by the restart policy, since it was made'),
  'container.exit_code': gauge('{code}', [NAME], ANY, 'inspection, of one that has ended'),
  'container.uptime': gauge('s', [NAME], ANY, 'inspection: since its last start'),
  'container.cpu.time': counter('s', [NAME], 'cpu.stat usage_usec, cpuacct.usage; its rate is the cores in use'),
  'container.cpu.throttled_time': counter('s', [NAME], 'cpu.stat: time that it was kept from the CPU by its limit'),
  'container.cpu.limit': gauge('{cpu}', [NAME], ANY, 'inspection; none without a limit'),
  'container.memory.usage': gauge('By', [NAME], ANY, 'memory.current, memory.usage_in_bytes: with the page cache'),
  'container.memory.working_set': gauge('By', [NAME], ANY, 'the usage without inactive_file of memory.stat'),
  'container.memory.limit': gauge('By', [NAME], ANY, 'inspection; none without a limit'),
  'container.memory.utilization': gauge('1', [NAME], 1, 'working set / limit'),
  'container.memory.oom_kills': counter('{kill}', [NAME], 'memory.events, memory.oom_control: oom_kill'),
  'container.network.io': counter(
    'By',
    [['container.name', 'network.io.direction']],
    'net/dev of its first process; not where it has the network of the host or of another container',
  ),
  'container.disk.io': counter(
    'By',
    [['container.name', 'disk.io.direction']],
    'io.stat, blkio.throttle: of all devices, a device over another one and that one',
  ),
  'container.thread.count': gauge('{thread}', [NAME], ANY, 'pids.current'),
} as const satisfies Record<string, Metric>;
