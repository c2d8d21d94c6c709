import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import fc from 'fast-check';
import { expect, test } from 'vitest';

import { anyTextLike } from '../testing/any-text.ts';
import { findSampleFault, makeRoot, readSamples } from '../testing/fixture.ts';
import { makeSensorSource, parseReading } from './sensor.ts';

const HWMON = 'sys/class/hwmon';

// Names and numbers as the kernel's documents show them: hwmon/sysfs-interface, coretemp, k10temp, nct6775, nvme.
const BOARD = {
  [`${HWMON}/hwmon0/name`]: 'coretemp\n',
  [`${HWMON}/hwmon0/temp1_input`]: '45000\n',
  [`${HWMON}/hwmon0/temp1_label`]: 'Package id 0\n',
  [`${HWMON}/hwmon0/temp1_crit`]: '100000\n',
  [`${HWMON}/hwmon0/temp10_input`]: '-5500\n',
  [`${HWMON}/hwmon1/name`]: 'nct6798\n',
  [`${HWMON}/hwmon1/fan1_input`]: '1205\n',
  [`${HWMON}/hwmon1/in0_input`]: '888\n',
  [`${HWMON}/hwmon1/in0_label`]: 'CPU, core=0\u001b[2J\n',
  [`${HWMON}/hwmon1/temp3_input`]: '127000\n',
  [`${HWMON}/hwmon1/temp3_fault`]: '1\n',
  [`${HWMON}/hwmon1/temp4_input`]: '31000\n',
  [`${HWMON}/hwmon1/temp4_fault`]: '0\n',
  [`${HWMON}/hwmon2/name`]: 'power_meter\n',
  [`${HWMON}/hwmon2/power1_average`]: '85000000\n',
  [`${HWMON}/hwmon2/power2_average`]: '1\n',
  [`${HWMON}/hwmon2/power2_input`]: '12500000\n',
};

function openSensors(root: string) {
  return makeSensorSource({ root, nowMs: () => 0 });
}

function makeBoard(): string {
  const root = makeRoot(BOARD);
  symlinkSync('../../../coretemp.0', join(root, HWMON, 'hwmon0/device'));
  return root;
}

test('temperatures, fans, power and voltages are told with what the driver calls them', async () => {
  const root = makeBoard();
  expect(await readSamples(openSensors(root))).toEqual({
    'hw.temperature{hw.id=coretemp.0/temp1,hw.name=Package id 0,hw.parent=coretemp}': 45,
    'hw.temperature{hw.id=coretemp.0/temp10,hw.name=temp10,hw.parent=coretemp}': -5.5,
    'hw.fan.speed{hw.id=hwmon1/fan1,hw.name=fan1,hw.parent=nct6798}': 1205,
    'hw.voltage{hw.id=hwmon1/in0,hw.name=CPU\\, core\\=0 [2J,hw.parent=nct6798}': 0.888,
    'hw.temperature{hw.id=hwmon1/temp4,hw.name=temp4,hw.parent=nct6798}': 31,
    'hw.power{hw.id=hwmon2/power1,hw.name=power1,hw.parent=power_meter}': 85,
    'hw.power{hw.id=hwmon2/power2,hw.name=power2,hw.parent=power_meter}': 12.5,
  });
});

test('a sensor that cannot be read, or goes away, disturbs no other', async () => {
  const root = makeBoard();
  const path = join(root, HWMON, 'hwmon0/temp1_input');
  rmSync(path);
  symlinkSync('/proc/self/mem', path); // reading its start is an error of input and output (EIO)
  const source = openSensors(root);
  const first = await readSamples(source);
  expect(Object.keys(first)).toHaveLength(6);
  rmSync(join(root, HWMON, 'hwmon1'), { recursive: true });
  expect(Object.keys(await readSamples(source))).toHaveLength(3);
});

test('a sensor that is plugged in is found within ten readings', async () => {
  const root = makeBoard();
  const source = openSensors(root);
  await source.read();
  mkdirSync(join(root, HWMON, 'hwmon9'));
  writeFileSync(join(root, HWMON, 'hwmon9/temp1_input'), '20000\n');
  const counts: number[] = [];
  for (let i = 0; i < 10; i += 1) counts.push(Object.keys(await readSamples(source)).length);
  expect(counts).toEqual([7, 7, 7, 7, 7, 7, 7, 7, 7, 8]);
});

test.for([
  [{}, []],
  [BOARD, []],
  // Source: kernel document driver-api/thermal/sysfs-api.
  [
    { 'sys/class/thermal/thermal_zone0/type': 'cpu-thermal\n', 'sys/class/thermal/thermal_zone0/temp': '48312\n' },
    ['hw.temperature{hw.id=thermal_zone0,hw.name=cpu-thermal,hw.parent=thermal}=48.312'],
  ],
] as const)('thermal zones stand in where no chip tells a temperature: %o', async ([files, expected]) => {
  const zones = { 'sys/class/thermal/cooling_device0/type': 'Processor\n' };
  const samples = await readSamples(openSensors(makeRoot({ ...zones, ...files })));
  const inZones = Object.entries(samples).filter(([key]) => key.includes('thermal'));
  expect(inZones.map(([key, value]) => `${key}=${value}`)).toEqual(expected);
});

test('the energy of processors is a counter, and where it is hidden, that is said', async () => {
  const zone = 'sys/class/powercap/intel-rapl:0';
  const root = makeRoot({ [`${zone}/name`]: 'package-0\n', [`${zone}/energy_uj`]: '262143328850\n' });
  const source = openSensors(root);
  const key = 'hw.energy{hw.id=intel-rapl:0,hw.name=package-0,hw.parent=powercap}';
  expect(await readSamples(source)).toEqual({ [key]: 262_143.328_85 });
  expect(await source.diagnose?.()).toEqual([]);
  rmSync(join(root, zone, 'energy_uj'));
  expect(await source.diagnose?.()).toMatchObject([{ what: expect.stringContaining('energy') }]);
});

test('a machine without sensors says so', async () => {
  const source = openSensors(makeRoot({}));
  expect(await readSamples(source)).toEqual({});
  expect(await source.diagnose?.()).toMatchObject([{ what: expect.stringContaining('no sensors') }]);
});

test('of very many sensors the first ones are read, with a remark', async () => {
  const files = Array.from({ length: 300 }, (_, i) => [`${HWMON}/hwmon0/temp${i}_input`, '20000\n']);
  const reading = await openSensors(makeRoot(Object.fromEntries(files))).read();
  expect(reading).toMatchObject({ ok: true, value: { remark: 'more than 256 sensors: the rest is left out' } });
});

test('sensors on a slow bus take turns, so that a reading ends', async () => {
  const files = Array.from({ length: 60 }, (_, i) => [`${HWMON}/hwmon0/temp${i}_input`, '20000\n']);
  let readMs = 20;
  let clockMs = 0;
  const source = makeSensorSource({ root: makeRoot(Object.fromEntries(files)), nowMs: () => (clockMs += readMs) });
  const counts = new Map<string, number>();
  for (let i = 0; i < 6; i += 1) {
    const read = Object.keys(await readSamples(source));
    expect(read).toHaveLength(10);
    for (const key of read) counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  expect(counts.size).toBe(60);
  const remark = 'reading all sensors takes over 200 ms: they take turns';
  expect(await source.read()).toMatchObject({ value: { remark } });
  readMs = 1;
  const reading = await source.read();
  expect(reading.ok && reading.value.samples.length).toBe(60);
  expect(reading.ok && reading.value.remark).toBe(undefined);
});

test.for([
  ['45000\n', 45_000],
  ['-5500\n', -5_500],
  ['0\n', 0],
  ['45', null], // cut short
  ['', null],
  ['N/A\n', null],
  ['1e9\n', null],
  ['--1\n', null],
] as const)('parseReading(%o) is %s', ([text, value]) => {
  expect(parseReading(text)).toBe(value);
});

test('whatever is in the files, what is told is legal', async () => {
  const text = anyTextLike('45000\n');
  const root = makeBoard();
  await fc.assert(
    fc.asyncProperty(text, text, text, async (value, label, fault) => {
      writeFileSync(join(root, HWMON, 'hwmon0/temp1_input'), value);
      writeFileSync(join(root, HWMON, 'hwmon1/fan1_input'), value);
      writeFileSync(join(root, HWMON, 'hwmon0/temp1_label'), label);
      writeFileSync(join(root, HWMON, 'hwmon0/name'), label);
      writeFileSync(join(root, HWMON, 'hwmon1/temp3_fault'), fault);
      const reading = await openSensors(root).read();
      const samples = reading.ok ? reading.value.samples : [];
      expect(samples.flatMap((sample) => findSampleFault(sample) ?? [])).toEqual([]);
    }),
  );
});
