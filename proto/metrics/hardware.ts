import { ANY, counter, gauge, signed, type Metric } from './kinds.ts';

/**
 * A sensor has the chip that it is on as its parent; a card or a disk has none. `hw.id` is the place of a card on its bus,
 * and of a disk its serial number, or else its worldwide name; the kernel's name of it where it tells neither.
 */
const SENSOR = ['hw.id', 'hw.name', 'hw.parent'] as const;
const DEVICE = ['hw.id', 'hw.name'] as const;

/** What the hardware says of itself. */
export const HARDWARE_METRICS = {
  'hw.temperature': signed('Cel', [SENSOR, DEVICE], 'hwmon temp*_input, or thermal_zone*/temp; nvidia-smi; smartctl'),
  'hw.fan.speed': gauge('rpm', [SENSOR], ANY, 'hwmon fan*_input'),
  'hw.fan.speed_ratio': gauge('1', [DEVICE], ANY, 'nvidia-smi fan.speed: of the highest; some go beyond it'),
  'hw.power': gauge('W', [SENSOR, DEVICE], ANY, 'hwmon power*_input, or power*_average; nvidia-smi power.draw'),
  'hw.voltage': signed('V', [SENSOR], 'hwmon in*_input'),
  'hw.energy': counter('J', [SENSOR], 'powercap energy_uj: what a processor or its memory has used'),
  'hw.gpu.utilization': gauge('1', [DEVICE], 1, 'amdgpu gpu_busy_percent; nvidia-smi utilization.gpu'),
  'hw.gpu.memory.usage': gauge('By', [DEVICE], ANY, 'amdgpu mem_info_vram_used; nvidia-smi memory.used'),
  'hw.gpu.memory.limit': gauge('By', [DEVICE], ANY, 'amdgpu mem_info_vram_total; nvidia-smi memory.total'),
  'hw.gpu.memory.utilization': gauge('1', [DEVICE], 1, 'used / total'),
  'hw.physical_disk.smart.passed': gauge(
    '{disk}',
    [DEVICE],
    1,
    'smartctl smart_status: 1, or 0 for a disk that says it fails',
  ),
  'hw.physical_disk.power_on_time': gauge('s', [DEVICE], ANY, 'smartctl power_on_time'),
  'hw.physical_disk.endurance_utilization': gauge(
    '1',
    [DEVICE],
    ANY,
    'smartctl percentage_used: what is worn of what its maker promises; goes beyond 1',
  ),
  'hw.physical_disk.errors': gauge(
    '{error}',
    [['error.type', ...DEVICE]],
    ANY,
    'smartctl: reallocated, pending, uncorrectable sectors (ATA), media errors (NVMe)',
  ),
} as const satisfies Record<string, Metric>;
