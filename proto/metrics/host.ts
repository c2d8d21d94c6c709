import { ALL, ANY, counter, gauge, type Metric } from './kinds.ts';

const FILESYSTEM = ['system.device', 'system.filesystem.mountpoint', 'system.filesystem.type'] as const;
const FILESYSTEM_STATE = [...FILESYSTEM.slice(0, 2), 'system.filesystem.state', 'system.filesystem.type'] as const;
const DISK = ['system.device'] as const;
const DISK_DIRECTION = ['disk.io.direction', 'system.device'] as const;
const DIRECTION = ['network.io.direction'] as const;
const INTERFACE = ['network.interface.name'] as const;
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
  'system.cpu.frequency': gauge('Hz', [['cpu']], ANY, 'sys/devices/system/cpu/cpu*/cpufreq/scaling_cur_freq'),
  'system.cpu.context_switches': counter('{switch}', ALL, 'proc/stat ctxt'),
  'system.cpu.interrupts': counter('{interrupt}', ALL, 'proc/stat intr, all of them together'),
  'system.paging.operations': counter('{page}', [['system.paging.direction']], 'proc/vmstat pswpin, pswpout'),
  'system.paging.faults': counter(
    '{fault}',
    [['system.paging.fault.type']],
    'proc/vmstat: major: pgmajfault, those that wait for a disk; minor: the other ones of pgfault',
  ),
  'system.memory.oom_kills': counter('{kill}', ALL, 'proc/vmstat oom_kill: processes killed for want of memory'),
  'system.filesystem.read_only': gauge(
    '{state}',
    [FILESYSTEM],
    1,
    'proc/self/mountinfo: 1 when nothing can be written, as after an error',
  ),
  'system.network.up': gauge('{state}', [INTERFACE], 1, 'sys/class/net operstate: 1 when it carries'),
  'system.network.speed': gauge('By/s', [INTERFACE], ANY, 'sys/class/net speed: what it can carry in each direction'),
  'system.network.tcp.segments': counter('{segment}', [DIRECTION], 'proc/net/snmp InSegs, OutSegs'),
  'system.network.tcp.retransmits': counter('{segment}', ALL, 'proc/net/snmp RetransSegs'),
  'system.network.tcp.opens': counter(
    '{connection}',
    [DIRECTION],
    'proc/net/snmp: transmit: ActiveOpens, by this host; receive: PassiveOpens, by others',
  ),
  'system.network.tcp.open_failures': counter('{connection}', ALL, 'proc/net/snmp AttemptFails'),
  'system.network.tcp.resets': counter('{connection}', ALL, 'proc/net/snmp EstabResets'),
  'system.network.tcp.listen_overflows': counter(
    '{connection}',
    ALL,
    'proc/net/netstat ListenOverflows: turned away because the queue of a listener was full',
  ),
  'system.network.connection.count': gauge(
    '{connection}',
    [['network.connection.state', 'network.transport']],
    ANY,
    'proc/net/tcp, tcp6: sockets by state; over 10,000 only established and time_wait',
  ),
  'system.network.conntrack.count': gauge('{connection}', ALL, ANY, 'proc/sys/net/netfilter/nf_conntrack_count'),
  'system.network.conntrack.limit': gauge('{connection}', ALL, ANY, 'proc/sys/net/netfilter/nf_conntrack_max'),
  'system.network.conntrack.utilization': gauge('1', ALL, 1, 'count / limit: when it is 1, packets are dropped'),
  'system.file_handle.count': gauge('{file}', ALL, ANY, 'proc/sys/fs/file-nr'),
  'system.file_handle.limit': gauge('{file}', ALL, ANY, 'proc/sys/fs/file-nr; none where it is without limit'),
  'system.file_handle.utilization': gauge('1', ALL, 1, 'count / limit'),
  'system.user.count': gauge(
    '{session}',
    ALL,
    ANY,
    'run/systemd/sessions, else run/utmp: sessions of people logged in',
  ),
  'system.uptime': gauge('s', ALL, ANY, 'proc/uptime'),
  'system.clock.offset': {
    ...gauge('s', ALL, ANY, 'the pushes: how far the clock is ahead of the collector’s; below 0: behind'),
    min: -ANY,
  },
  'system.clock.offset.error': gauge('s', ALL, ANY, 'the pushes: by how much the offset may be wrong, either way'),
} as const satisfies Record<string, Metric>;
