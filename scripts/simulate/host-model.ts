import type { HostPlan, Role } from './fleet.ts';
import { rise, round, type Counting, type Load, type Moment } from './model.ts';
import { demandAt, makeDrift, noiseAt } from './rhythm.ts';
import type { Sheet } from './sheet.ts';

const GIB = 1024 ** 3;
const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;

/** At the peak of what is asked of a role: of all cores, of the memory; and what it writes, reads and sends. */
const APPETITES: Readonly<
  Record<Role, { cpu: number; memory: number; cached: number; writeBytesPerS: number; netBytesPerS: number }>
> = {
  web: { cpu: 0.45, memory: 0.4, cached: 0.15, writeBytesPerS: 1e6, netBytesPerS: 12e6 },
  db: { cpu: 0.35, memory: 0.62, cached: 0.25, writeBytesPerS: 18e6, netBytesPerS: 8e6 },
  batch: { cpu: 0.6, memory: 0.3, cached: 0.3, writeBytesPerS: 10e6, netBytesPerS: 3e6 },
  cache: { cpu: 0.22, memory: 0.6, cached: 0.05, writeBytesPerS: 2e5, netBytesPerS: 25e6 },
};
/** Of all cores, when nothing is asked of a host. */
const IDLE_CPU = 0.02;
/** When databases are backed up, by their own clocks. */
const BACKUP = { hour: 2, minutes: 40, bytesPerS: 60e6 } as const;

/** `beganMs`: when the simulated time began. */
export type HostModelOptions = {
  readonly seed: number;
  readonly random: () => number;
  readonly sheet: Sheet;
  readonly beganMs: number;
};

/** The host itself: what the kernel says of it. Gives back what its services and containers need to know. */
export function makeHostModel(plan: HostPlan, { seed, random, sheet, beganMs }: HostModelOptions) {
  const { role, region, cores, memoryBytes, diskBytes } = plan;
  const appetite = APPETITES[role];
  const places = addHostSeries(sheet);
  // Hosts of a role are alike, and not equal.
  const habit = 0.75 + 0.5 * random();
  const drift = makeDrift(900, random);
  const memoryDrift = makeDrift(6 * 3_600, random);
  const growthPerDay = 0.0006 * random();
  let bootMs: number | null = null;
  const loads = [0, 0, 0];

  /** Fills in what holds at a moment. */
  return function read({ tMs, elapsedS, effects }: Moment, isBoot: boolean): Load {
    const values = sheet.values();
    bootMs ??= tMs - (5 + 90 * random()) * DAY_MS;
    if (isBoot) {
      bootMs = tMs;
      for (const place of places.counters) values[place] = 0;
    }
    const days = (tMs - beganMs) / DAY_MS;
    const demand = Math.max(
      0,
      demandAt(tMs, role, region) *
        habit *
        (1 + growthPerDay * days) *
        (1 + 0.08 * noiseAt(tMs, 20 * 60_000, seed, region.utcHours, 1) + 0.06 * drift(elapsedS)),
    );
    const isBackup = role === 'db' && isWithin(tMs + region.utcHours * HOUR_MS, BACKUP.hour, BACKUP.minutes);
    const asked = IDLE_CPU + appetite.cpu * demand + (isBackup ? 0.08 : 0) + effects.cpu;
    const cpu = Math.min(1 - Math.min(0.9, effects.steal), asked * (0.97 + 0.06 * random()));
    const reading = { values, places, elapsedS, random };
    writeCpu(reading, cores, { cpu, steal: effects.steal, asked });
    for (const [i, minutes] of [1, 5, 15].entries()) {
      const kept = Math.exp(-elapsedS / (60 * minutes));
      loads[i] = kept * (loads[i] ?? 0) + (1 - kept) * asked * cores;
      values[places.loads[i] ?? 0] = round(loads[i] ?? 0, 2);
    }
    const memory = 0.08 + appetite.memory * (0.75 + 0.25 * demand) * (1 + 0.02 * memoryDrift(elapsedS));
    const used = Math.min(0.995 * memoryBytes, memory * memoryBytes + effects.memoryBytes);
    writeMemory(reading, memoryBytes, { used, cachedShare: appetite.cached });
    const writes = appetite.writeBytesPerS * demand + (isBackup ? BACKUP.bytesPerS / 3 : 0);
    const reads = 0.4 * appetite.writeBytesPerS * demand + (isBackup ? BACKUP.bytesPerS : 0);
    writeDisk(reading, writes, reads);
    const dataBytes = Math.min(diskBytes, Math.max(0, plan.usedBytes + plan.dailyBytes * days + effects.diskBytes));
    writeFilesystem(values, places.root, 20 * GIB, 7 * GIB + 0.01 * GIB * days);
    writeFilesystem(values, places.data, diskBytes, dataBytes);
    writeNetwork(reading, appetite.netBytesPerS * demand);
    values[places.uptime] = round((tMs - bootMs) / 1_000, 0);
    values[places.clock] = effects.clockMs / 1_000;
    values[places.oomKills] = effects.oomKills;
    values[places.processes] = 120 + 40 * cores + Math.round(10 * demand);
    return { demand, cpu };
  };
}

function isWithin(localMs: number, hour: number, minutes: number): boolean {
  const sinceMs = (localMs % DAY_MS) - hour * HOUR_MS;
  return sinceMs >= 0 && sinceMs < minutes * 60_000;
}

const MODES = ['user', 'nice', 'system', 'idle', 'iowait', 'softirq', 'steal'] as const;
const RESOURCES = ['cpu', 'memory', 'io'] as const;
const DIRECTIONS = ['receive', 'transmit'] as const;

/** The places of what `makeHostModel` fills in. */
function addHostSeries(sheet: Sheet) {
  const counters: number[] = [];
  const add = sheet.add;
  const count: Sheet['add'] = (metric, labels) => {
    const place = add(metric, labels);
    counters.push(place);
    return place;
  };
  const disk = { 'system.device': 'nvme0n1' };
  const net = { 'network.interface.name': 'eth0' };
  const places = {
    cpu: add('system.cpu.utilization'),
    shares: MODES.map((mode) => add('system.cpu.utilization', { 'cpu.mode': mode })),
    times: MODES.map((mode) => count('system.cpu.time', { 'cpu.mode': mode })),
    cores: add('system.cpu.logical.count'),
    loads: [add('system.cpu.load_average.1m'), add('system.cpu.load_average.5m'), add('system.cpu.load_average.15m')],
    switches: count('system.cpu.context_switches'),
    memoryUsed: add('system.memory.usage', { 'system.memory.state': 'used' }),
    memoryFree: add('system.memory.usage', { 'system.memory.state': 'free' }),
    memoryCached: add('system.memory.usage', { 'system.memory.state': 'cached' }),
    memoryLimit: add('system.memory.limit'),
    memoryAvailable: add('system.memory.linux.available'),
    memoryShare: add('system.memory.utilization'),
    oomKills: count('system.memory.oom_kills'),
    stalls: RESOURCES.map((resource) =>
      count('system.pressure.stall_time', { 'system.pressure.kind': 'some', 'system.pressure.resource': resource }),
    ),
    root: addFilesystem(sheet, '/', '/dev/nvme0n1p1'),
    data: addFilesystem(sheet, '/var/lib/data', '/dev/nvme0n1p2'),
    diskRead: count('system.disk.io', { ...disk, 'disk.io.direction': 'read' }),
    diskWritten: count('system.disk.io', { ...disk, 'disk.io.direction': 'write' }),
    diskReads: count('system.disk.operations', { ...disk, 'disk.io.direction': 'read' }),
    diskWrites: count('system.disk.operations', { ...disk, 'disk.io.direction': 'write' }),
    diskBusy: count('system.disk.io_time', disk),
    network: DIRECTIONS.map((direction) => ({
      bytes: count('system.network.io', { ...net, 'network.io.direction': direction }),
      total: count('system.network.io', { 'network.io.direction': direction }),
      packets: count('system.network.packet.count', { ...net, 'network.io.direction': direction }),
      errors: count('system.network.errors', { ...net, 'network.io.direction': direction }),
    })),
    networkUp: add('system.network.up', net),
    retransmits: count('system.network.tcp.retransmits'),
    processes: add('system.process.count', { 'process.state': 'sleeping' }),
    uptime: add('system.uptime'),
    clock: add('system.clock.offset'),
  };
  return { ...places, counters };
}

function addFilesystem(sheet: Sheet, mountpoint: string, device: string) {
  const labels = {
    'system.device': device,
    'system.filesystem.mountpoint': mountpoint,
    'system.filesystem.type': 'ext4',
  };
  const state = (name: string) => ({ ...labels, 'system.filesystem.state': name });
  return {
    used: sheet.add('system.filesystem.usage', state('used')),
    free: sheet.add('system.filesystem.usage', state('free')),
    share: sheet.add('system.filesystem.utilization', labels),
    inodes: sheet.add('system.filesystem.inodes.utilization', labels),
    readOnly: sheet.add('system.filesystem.read_only', labels),
  };
}

type Places = ReturnType<typeof addHostSeries>;
type Reading = Counting & { readonly places: Places };

type Busy = { readonly cpu: number; readonly steal: number; readonly asked: number };

/** `asked` may be more than there is: then tasks wait. */
function writeCpu(reading: Reading, cores: number, { cpu, steal, asked }: Busy): void {
  const { values, places, elapsedS } = reading;
  const idle = Math.max(0, 1 - cpu - steal);
  const shares = [0.72 * cpu, 0.01 * cpu, 0.22 * cpu, 0.98 * idle, 0.02 * idle, 0.05 * cpu, steal];
  values[places.cpu] = round(cpu + steal, 4);
  values[places.cores] = cores;
  for (const [i, share] of shares.entries()) {
    values[places.shares[i] ?? 0] = round(share, 4);
    rise(reading, places.times[i], share * cores * elapsedS, 2);
  }
  rise(reading, places.switches, (2_000 + 60_000 * cpu) * cores * elapsedS, 0);
  const waiting = Math.max(0, asked + steal - 0.85) * 1.5 + 0.02 * cpu;
  rise(reading, places.stalls[0], Math.min(1, waiting) * elapsedS, 2);
}

type Held = { readonly used: number; readonly cachedShare: number };

function writeMemory(reading: Reading, memoryBytes: number, { used, cachedShare }: Held): void {
  const { values, places, elapsedS } = reading;
  const cached = Math.min(cachedShare * memoryBytes, 0.9 * (memoryBytes - used));
  values[places.memoryUsed] = round(used, 0);
  values[places.memoryCached] = round(cached, 0);
  values[places.memoryFree] = round(memoryBytes - used - cached, 0);
  values[places.memoryLimit] = memoryBytes;
  values[places.memoryAvailable] = round(memoryBytes - used, 0);
  values[places.memoryShare] = round(used / memoryBytes, 4);
  rise(reading, places.stalls[1], Math.max(0, used / memoryBytes - 0.9) * 6 * elapsedS, 2);
}

function writeDisk(reading: Reading, writes: number, reads: number): void {
  const { places, elapsedS, random } = reading;
  const jitter = 0.7 + 0.6 * random();
  rise(reading, places.diskWritten, writes * jitter * elapsedS, 0);
  rise(reading, places.diskRead, reads * jitter * elapsedS, 0);
  rise(reading, places.diskWrites, ((writes * jitter) / 24e3) * elapsedS, 0);
  rise(reading, places.diskReads, ((reads * jitter) / 32e3) * elapsedS, 0);
  const busy = Math.min(0.99, (writes + reads) / 160e6);
  rise(reading, places.diskBusy, busy * elapsedS, 2);
  rise(reading, places.stalls[2], busy * busy * elapsedS, 2);
}

function writeFilesystem(
  values: Float64Array,
  places: ReturnType<typeof addFilesystem>,
  size: number,
  used: number,
): void {
  values[places.used] = round(used, 0);
  values[places.free] = round(size - used, 0);
  values[places.share] = round(used / size, 4);
  values[places.inodes] = round((0.4 * used) / size, 4);
  values[places.readOnly] = 0;
}

function writeNetwork(reading: Reading, bytesPerS: number): void {
  const { values, places, elapsedS, random } = reading;
  for (const [i, place] of places.network.entries()) {
    const bytes = (2_000 + bytesPerS * (i === 0 ? 0.4 : 1)) * (0.8 + 0.4 * random()) * elapsedS;
    rise(reading, place.bytes, bytes, 0);
    rise(reading, place.total, bytes, 0);
    rise(reading, place.packets, bytes / 700, 0);
  }
  values[places.networkUp] = 1;
  rise(reading, places.retransmits, (bytesPerS / 4e6) * elapsedS, 0);
}
