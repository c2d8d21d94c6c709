import { join } from 'node:path';

import { formatLabels } from '@muster/proto/labels';
import type { MetricName } from '@muster/proto/metric';
import { ok } from '@muster/proto/result';

import { compareNumbered } from '../compare-numbered.ts';
import { listDirectory } from '../list-directory.ts';
import { toPlainText } from '../plain-text.ts';
import { parseCount, tryText } from '../read-text.ts';
import type { Finding, Sample, Source } from '../source.ts';
import { nameDevice } from './name-device.ts';

/** Temperatures change slowly, and some chips are asked over a slow bus. */
const EVERY_MS = 30_000;
/** Which sensors there are is looked up once in so many readings: modules are loaded and disks are plugged in. */
const LOOK_EVERY = 10;
/** More than any board has. */
const SENSORS_MAX = 256;
/** The one thread waits for the bus meanwhile. */
const READ_MS_MAX = 200;
const TEXT_LENGTH_MAX = 64;

/** One number that the hardware shows in a file. */
export type Sensor = {
  readonly metric: MetricName;
  readonly labels: string;
  readonly path: string;
  /** What the number in the file is divided by. */
  readonly divisor: number;
  /** Says 1 where the number means nothing. */
  readonly faultPath: string | null;
};

export type SensorOptions = {
  readonly root: string;
  /** A clock that never jumps. */
  readonly nowMs: () => number;
};

/**
 * Temperatures, fans, power, voltages and energy, as far as the kernel has drivers for them. Where they take too long to be
 * read at once they take turns: a reading goes on where the one before gave up.
 */
export function makeSensorSource({ root, nowMs }: SensorOptions): Source {
  let sensors: readonly Sensor[] = [];
  let readings = 0;
  let turn = 0;
  return {
    name: 'sensors',
    everyMs: EVERY_MS,
    read: () => {
      if (readings % LOOK_EVERY === 0) sensors = findSensors(root);
      readings += 1;
      const known = sensors.slice(0, SENSORS_MAX);
      const start = known.length === 0 ? 0 : turn % known.length;
      const inTurn = [...known.slice(start), ...known.slice(0, start)];
      const { samples, count } = readFor(READ_MS_MAX, inTurn, nowMs);
      turn = start + count;
      const remarks = [
        ...(sensors.length > SENSORS_MAX ? [`more than ${SENSORS_MAX} sensors: the rest is left out`] : []),
        ...(count < known.length ? [`reading all sensors takes over ${READ_MS_MAX} ms: they take turns`] : []),
      ];
      return ok({ samples, ...(remarks.length === 0 ? {} : { remark: remarks.join('; ') }) });
    },
    diagnose: async () => diagnose(root, sensors),
  };
}

/** Reads one sensor after the other, and begins with none when the time is over. */
function readFor(durationMs: number, sensors: readonly Sensor[], nowMs: () => number) {
  const samples: Sample[] = [];
  const endMs = nowMs() + durationMs;
  let count = 0;
  for (const sensor of sensors) {
    const value = readSensor(sensor);
    if (value !== null) samples.push({ metric: sensor.metric, labels: sensor.labels, value });
    count += 1;
    if (nowMs() >= endMs) break;
  }
  return { samples, count };
}

function diagnose(root: string, sensors: readonly Sensor[]): readonly Finding[] {
  if (sensors.length === 0) {
    const next = 'on a machine of its own, load the drivers that sensors-detect (lm-sensors) names';
    return [{ what: 'no sensors: a virtual machine has none', next }];
  }
  const zones = listDirectory(join(root, ENERGY_PATH)).filter((name) => ZONE.test(name));
  const isHidden = zones.some((name) => tryText(join(root, ENERGY_PATH, name, 'energy_uj')) === null);
  if (!isHidden) return [];
  return [{ what: 'the energy of the processors may not be read', next: 'since Linux 5.10 root alone may' }];
}

/** A sensor that fails (EIO, a disk that was pulled out) has no number, and disturbs no other. */
export function readSensor({ path, divisor, faultPath, metric }: Sensor): number | null {
  if (faultPath !== null && tryText(faultPath)?.trim() === '1') return null;
  const raw = parseReading(tryText(path) ?? '');
  if (raw === null) return null;
  const value = raw / divisor;
  if (metric === 'hw.temperature') return value > ABSOLUTE_ZERO ? value : null;
  return metric === 'hw.voltage' || value >= 0 ? value : null;
}

/** Colder than this is a sensor that is not there. */
const ABSOLUTE_ZERO = -273.15;

/** A whole number and the end of its line. */
export function parseReading(text: string): number | null {
  const digits = /^(-?)(\d{1,16})\n$/.exec(text);
  const count = parseCount(digits?.[2]);
  return count === null ? null : digits?.[1] === '-' ? -count : count;
}

/** Source: kernel document hwmon/sysfs-interface: in thousandths of a degree and a volt, and millionths of a watt. */
const INPUTS: readonly (readonly [pattern: RegExp, metric: MetricName, divisor: number])[] = [
  [/^temp\d+_input$/, 'hw.temperature', 1e3],
  [/^fan\d+_input$/, 'hw.fan.speed', 1],
  [/^power\d+_(?:input|average)$/, 'hw.power', 1e6],
  [/^in\d+_input$/, 'hw.voltage', 1e3],
];

export function findSensors(root: string): readonly Sensor[] {
  const monitored = listDirectory(join(root, 'sys/class/hwmon'))
    .toSorted(compareNumbered)
    .flatMap((name) => findOnChip(root, name));
  const hasTemperature = monitored.some(({ metric }) => metric === 'hw.temperature');
  const sensors = [...monitored, ...(hasTemperature ? [] : findZones(root)), ...findEnergy(root)];
  // Two of one identity would be one series with two numbers at once.
  const unique = new Map(sensors.map((sensor) => [`${sensor.metric} ${sensor.labels}`, sensor]));
  return [...unique.values()];
}

/** Numbers of chips change with each start; the device behind one does not, where it has one. */
function findOnChip(root: string, entry: string): Sensor[] {
  const directory = join(root, 'sys/class/hwmon', entry);
  const files = listDirectory(directory);
  const chip = clean(tryText(join(directory, 'name')) ?? '') || entry;
  const device = clean(nameDevice(join(directory, 'device')) ?? '') || entry;
  return files.toSorted(compareNumbered).flatMap((file): Sensor[] => {
    const input = INPUTS.find(([pattern]) => pattern.test(file));
    const sensor = file.slice(0, file.indexOf('_'));
    // Of power, the present one is preferred to its average.
    if (input === undefined || (file.endsWith('_average') && files.includes(`${sensor}_input`))) return [];
    const label = clean(tryText(join(directory, `${sensor}_label`)) ?? '') || sensor;
    const labels = { 'hw.id': `${device}/${sensor}`, 'hw.name': label, 'hw.parent': chip };
    const faultPath = files.includes(`${sensor}_fault`) ? join(directory, `${sensor}_fault`) : null;
    return [
      { metric: input[1], labels: formatLabels(labels), path: join(directory, file), divisor: input[2], faultPath },
    ];
  });
}

/** Source: kernel document driver-api/thermal/sysfs-api: thousandths of a degree. Small boards have only these. */
function findZones(root: string): Sensor[] {
  const directory = join(root, 'sys/class/thermal');
  const zones = listDirectory(directory).filter((name) => /^thermal_zone\d+$/.test(name));
  return zones.toSorted(compareNumbered).map((zone) => {
    const name = clean(tryText(join(directory, zone, 'type')) ?? '') || zone;
    const labels = formatLabels({ 'hw.id': zone, 'hw.name': name, 'hw.parent': 'thermal' });
    return { metric: 'hw.temperature', labels, path: join(directory, zone, 'temp'), divisor: 1e3, faultPath: null };
  });
}

const ENERGY_PATH = 'sys/class/powercap';
const ZONE = /^[a-z][a-z-]*(?::\d+)+$/;

/** Source: kernel document power/powercap: millionths of a joule, which begin again at 0 now and then. */
function findEnergy(root: string): Sensor[] {
  const directory = join(root, ENERGY_PATH);
  const zones = listDirectory(directory).filter((name) => ZONE.test(name));
  return zones.toSorted(compareNumbered).map((zone) => {
    const name = clean(tryText(join(directory, zone, 'name')) ?? '') || zone;
    const labels = formatLabels({ 'hw.id': zone, 'hw.name': name, 'hw.parent': 'powercap' });
    return { metric: 'hw.energy', labels, path: join(directory, zone, 'energy_uj'), divisor: 1e6, faultPath: null };
  });
}

/** What a driver calls its sensors may be anything. */
export function clean(text: string): string {
  return toPlainText(text, TEXT_LENGTH_MAX, ' ');
}
