import { ALL, ANY, counter, gauge, type Metric } from './kinds.ts';

const FILESYSTEM = ['system.device', 'system.filesystem.mountpoint', 'system.filesystem.type'] as const;
const FILESYSTEM_STATE = [...FILESYSTEM.slice(0, 2), 'system.filesystem.state', 'system.filesystem.type'] as const;
const DISK = ['system.device'] as const;
const DISK_DIRECTION = ['disk.io.direction', 'system.device'] as const;
const NETWORK_DIRECTION = ['network.interface.name', 'network.io.direction'] as const;

/** What the kernel says of the host as a whole, its disks, filesystems and interfaces. */
export const HOST_METRICS = {
  'system.cpu.utilization': gauge(
    '1',
    [[], ['cpu.mode'], ['cpu']],
    1,
    'proc/stat: all but idle and iowait; by mode; by core',
  ),
  'system.cpu.time': counter('s', [['cpu.mode']], 'proc/stat, all cores together'),
  'system.cpu.logical.count': gauge('{cpu}', ALL, ANY, 'proc/stat: cores that are on'),
  'system.cpu.load_average.1m': gauge('{thread}', ALL, ANY, 'proc/loadavg'),
  'system.cpu.load_average.5m': gauge('{thread}', ALL, ANY, 'proc/loadavg'),
  'system.cpu.load_average.15m': gauge('{thread}', ALL, ANY, 'proc/loadavg'),
  'system.memory.usage': gauge(
    'By',
    [['system.memory.state']],
    ANY,
    'proc/meminfo: used, free, buffers, cached; they add up to the limit',
  ),
  'system.memory.limit': gauge('By', ALL, ANY, 'proc/meminfo MemTotal'),
  'system.memory.linux.available': gauge('By', ALL, ANY, 'proc/meminfo MemAvailable'),
  'system.memory.utilization': gauge('1', ALL, 1, 'proc/meminfo: 1 - MemAvailable / MemTotal'),
  'system.paging.usage': gauge('By', [['system.paging.state']], ANY, 'proc/meminfo SwapTotal, SwapFree: used, free'),
  'system.paging.utilization': gauge('1', ALL, 1, 'proc/meminfo: swap in use'),
  'system.filesystem.usage': gauge(
    'By',
    [FILESYSTEM_STATE],
    ANY,
    'statfs: used, free (to an ordinary user), reserved; not for FUSE, whose unit it does not tell',
  ),
  'system.filesystem.utilization': gauge('1', [FILESYSTEM], 1, 'statfs: used / (used + free), as df prints it'),
  'system.filesystem.inodes.usage': gauge('{inode}', [FILESYSTEM_STATE], ANY, 'statfs: used, free'),
  'system.filesystem.inodes.utilization': gauge('1', [FILESYSTEM], 1, 'statfs: used / all'),
  'system.disk.io': counter('By', [DISK_DIRECTION], 'proc/diskstats sectors of 512 bytes'),
  'system.disk.operations': counter('{operation}', [DISK_DIRECTION], 'proc/diskstats'),
  'system.disk.operation_time': counter('s', [DISK_DIRECTION], 'proc/diskstats: time of all operations added up'),
  'system.disk.io_time': counter(
    's',
    [DISK],
    'proc/diskstats: time with an operation in flight; its rate is the utilization',
  ),
  'system.network.io': counter(
    'By',
    [NETWORK_DIRECTION, ['network.io.direction']],
    'proc/net/dev; without an interface: what those that lie over no other carried since the agent started',
  ),
  'system.network.packet.count': counter('{packet}', [NETWORK_DIRECTION], 'proc/net/dev'),
  'system.network.packet.dropped': counter('{packet}', [NETWORK_DIRECTION], 'proc/net/dev'),
  'system.network.errors': counter('{error}', [NETWORK_DIRECTION], 'proc/net/dev'),
  'system.pressure.stall_time': counter(
    's',
    [['system.pressure.kind', 'system.pressure.resource']],
    'proc/pressure total: some or full tasks stalled; its rate is the share of time',
  ),
  'system.uptime': gauge('s', ALL, ANY, 'proc/uptime'),
  'system.clock.offset': {
    ...gauge('s', ALL, ANY, 'the pushes: how far the clock is ahead of the collector’s; below 0: behind'),
    min: -ANY,
  },
  'system.clock.offset.error': gauge('s', ALL, ANY, 'the pushes: by how much the offset may be wrong, either way'),
} as const satisfies Record<string, Metric>;
