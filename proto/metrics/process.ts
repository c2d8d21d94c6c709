import { ALL, ANY, counter, gauge, type Metric } from './kinds.ts';

const NAME_OWNER = ['process.executable.name', 'process.owner'] as const;
/** What is left of a group's identity beside its name and owner: a container, a unit, or neither; and command lines. */
const NAMED = [
  [...NAME_OWNER],
  ['container.id', ...NAME_OWNER],
  [...NAME_OWNER, 'systemd.unit.name'],
  ['process.command_line', ...NAME_OWNER],
  ['container.id', 'process.command_line', ...NAME_OWNER],
  ['process.command_line', ...NAME_OWNER, 'systemd.unit.name'],
] as const;
const GROUP = [...NAMED, ['process.executable.name']] as const;

/** Processes, and those of one name, owner and container or unit that use the most, every ten seconds. */
export const PROCESS_METRICS = {
  'system.process.count': gauge('{process}', [['process.state']], ANY, 'proc/PID/stat'),
  'system.process.created': counter('{process}', ALL, 'proc/stat processes: forks since the machine started'),
  'system.thread.count': gauge('{thread}', ALL, ANY, 'proc/PID/stat num_threads of all processes'),
  'process.cpu.usage': gauge(
    '{cpu}',
    GROUP,
    ANY,
    'proc/PID/stat utime, stime: cores in use, of those that use the most',
  ),
  'process.memory.usage': gauge(
    'By',
    GROUP,
    ANY,
    'proc/PID/stat rss: what each has of its own, and once what they share; of those that use the most',
  ),
  'process.disk.rate': gauge(
    'By/s',
    GROUP,
    ANY,
    'proc/PID/io read_bytes, write_bytes, together; of those that use the most',
  ),
  'process.pid': gauge('{pid}', NAMED, ANY, 'which process of the group uses the most; on change, and once a minute'),
  'process.count': gauge('{process}', NAMED, ANY, 'how many processes the group has; told with its pid'),
  'process.start_time': gauge(
    's',
    NAMED,
    ANY,
    'proc/PID/stat starttime of that process, in Unix seconds; told with its pid',
  ),
} as const satisfies Record<string, Metric>;
