import { readFileSync, writeFileSync } from 'node:fs';

import fc from 'fast-check';
import { expect, test } from 'vitest';

import { anyTextLike } from '../testing/any-text.ts';
import { findSampleFault, makeRoot, readSamples } from '../testing/fixture.ts';
import { makeProgram } from '../testing/program.ts';
import { listDisks, makeSmartSource } from './smart.ts';
import { parseSmart } from './smart/parse-smart.ts';
import { runProgram } from './smart/run-program.ts';

const BLOCKS = { 'sys/block/sda/size': '1\n', 'sys/block/nvme0n1/size': '1\n', 'sys/block/loop0/size': '1\n' };

// In the form of smartmontools 7.3, `smartctl --json --all`, cut down to what is read and some of what is beside it.
const ATA = {
  json_format_version: [1, 0],
  smartctl: { version: [7, 3], exit_status: 4 },
  model_name: 'ST8000VN004-2M2101',
  serial_number: 'WKD1ABCD',
  wwn: { naa: 5, oui: 3_152, id: 3_741_258_704 },
  smart_status: { passed: true },
  ata_smart_attributes: {
    revision: 10,
    table: [
      { id: 1, name: 'Raw_Read_Error_Rate', raw: { value: 190_334_232, string: '190334232' } },
      { id: 5, name: 'Reallocated_Sector_Ct', raw: { value: 8, string: '8' } },
      { id: 197, name: 'Current_Pending_Sector', raw: { value: 2, string: '2' } },
    ],
  },
  power_on_time: { hours: 21_000 },
  temperature: { current: 34 },
};
const NVME = {
  model_name: 'Samsung SSD 980 PRO 1TB',
  smart_status: { passed: false, nvme: { value: 4 } },
  nvme_smart_health_information_log: { critical_warning: 4, percentage_used: 103, media_errors: 7, temperature: 61 },
  temperature: { current: 61 },
  power_on_time: { hours: 10 },
};
const ASLEEP = { smartctl: { messages: [{ string: 'Device is in STANDBY mode, exit(2)', severity: 'information' }] } };

test('each disk is asked once, by a program that prints its report', async () => {
  const program = makeProgram(
    `echo "$@" >> "$0.calls"\ncase "$*" in *nvme*) echo '${JSON.stringify(NVME)}';; *) echo '${JSON.stringify(ATA)}'; exit 4;; esac`,
  );
  const sda = 'hw.id=WKD1ABCD,hw.name=ST8000VN004-2M2101';
  const nvme = 'hw.id=nvme0n1,hw.name=Samsung SSD 980 PRO 1TB';
  expect(await readSamples(makeSmartSource({ root: makeRoot(BLOCKS), program }))).toEqual({
    [`hw.physical_disk.smart.passed{${sda}}`]: 1,
    [`hw.temperature{${sda}}`]: 34,
    [`hw.physical_disk.power_on_time{${sda}}`]: 75_600_000,
    [`hw.physical_disk.errors{error.type=reallocated,${sda}}`]: 8,
    [`hw.physical_disk.errors{error.type=pending,${sda}}`]: 2,
    [`hw.physical_disk.smart.passed{${nvme}}`]: 0,
    [`hw.temperature{${nvme}}`]: 61,
    [`hw.physical_disk.power_on_time{${nvme}}`]: 36_000,
    [`hw.physical_disk.endurance_utilization{${nvme}}`]: 1.03,
    [`hw.physical_disk.errors{error.type=media,${nvme}}`]: 7,
  });
  const calls = readFileSync(`${program}.calls`, 'utf8').trim().split('\n');
  expect(calls).toEqual(['nvme0n1', 'sda'].map((disk) => `--json=c --nocheck=standby --all /dev/${disk}`));
});

test.for([
  [`echo '${JSON.stringify(ASLEEP)}'; exit 2`, 'sda: Device is in STANDBY mode, exit(2)'],
  ['echo no JSON', 'sda: smartctl prints no report'],
  ['echo "{}"', 'sda: it says nothing of its health'],
  ['exit 1', 'prints nothing'],
] as const)('a disk of which %s has no numbers, and a reason', async ([script, reason]) => {
  const source = makeSmartSource({ root: makeRoot({ 'sys/block/sda/size': '1\n' }), program: makeProgram(script) });
  expect(await source.read()).toMatchObject({ value: { samples: [], remark: expect.stringContaining(reason) } });
  expect(await source.diagnose?.()).toMatchObject([{ next: expect.stringContaining('smartmontools') }]);
});

test('two disks of one model that swap their names keep their series', async () => {
  const program = makeProgram(
    `read serial < "$0.\${4#/dev/}"; echo '${JSON.stringify(ATA)}' | sed "s/WKD1ABCD/$serial/"`,
  );
  const write = (disk: string, serial: string) => writeFileSync(`${program}.${disk}`, `${serial}\n`);
  const root = makeRoot({ 'sys/block/sda/size': '1\n', 'sys/block/sdb/size': '1\n' });
  const source = makeSmartSource({ root, program });
  const read = async (sda: string, sdb: string) => {
    write('sda', sda);
    write('sdb', sdb);
    const names = Object.keys(await readSamples(source)).filter((name) => name.startsWith('hw.temperature'));
    return names.map((name) => name.replace('ST8000VN004-2M2101', 'ST'));
  };
  const [one, other] = ['hw.temperature{hw.id=ONE,hw.name=ST}', 'hw.temperature{hw.id=A\\=B,hw.name=ST}'];
  expect(await read('ONE', 'A=B')).toEqual([one, other]);
  expect(await read('A=B', 'ONE')).toEqual([other, one]);
  expect(await read('ONE', 'ONE')).toEqual([one, 'hw.temperature{hw.id=sdb,hw.name=ST}']);
});

test('a host with many disks may take as long as each of them may', () => {
  const { answerMsMax = 0, everyMs = 0 } = makeSmartSource({ root: makeRoot({}), program: 'smartctl' });
  expect(answerMsMax).toBeGreaterThanOrEqual(24 * 20_000);
  expect(answerMsMax).toBeLessThan(everyMs);
});

test('runProgram() kills a program that is late, and says that one is not there', async () => {
  const { signal } = new AbortController();
  const late = { program: makeProgram('echo begun; exec sleep 600'), argv: [], deadlineMs: 300, signal };
  expect(await runProgram(late)).toEqual({ ok: false, error: 'it did not answer within 0.3 s' });
  const missing = { ...late, program: '/nowhere/smartctl' };
  expect(await runProgram(missing)).toEqual({ ok: false, error: 'there is no /nowhere/smartctl' });
});

test('a source that is closed ends the program that is under way, and starts no other', async () => {
  const program = makeProgram('echo x >> "$0.runs"; exec sleep 600');
  const source = makeSmartSource({ root: makeRoot(BLOCKS), program });
  const reading = source.read();
  await expect
    .poll(() => readFileSync(`${program}.runs`, { encoding: 'utf8', flag: 'a+' }), { timeout: 10_000 })
    .toBe('x\n');
  await source.close?.();
  expect(await reading).toMatchObject({ value: { samples: [] } });
  expect(readFileSync(`${program}.runs`, 'utf8')).toBe('x\n');
});

test.for([
  [
    { temperature: { current: 0 }, power_on_time: { hours: 1 } },
    { celsius: null, poweredSeconds: 3_600 },
  ],
  [
    { temperature: { current: '34' }, smart_status: { passed: 'yes' }, power_on_time: { hours: 1 } },
    { isPassed: null },
  ],
  [
    { endurance_used: { current_percent: 12 }, smart_status: { passed: true } },
    { wornRatio: 0.12, model: 'disk', id: null },
  ],
  [{ ...ATA, serial_number: ' \u0000 ' }, { id: 'wwn-0x5000c500deff13d0' }],
  [{ ...ATA, serial_number: 7, wwn: { naa: 5, oui: 3_152 } }, { id: null }],
] as const)('parseSmart(%o) has %o', ([report, expected]) => {
  expect(parseSmart(JSON.stringify(report))).toMatchObject({ ok: true, value: expected });
});

test('parseSmart() never throws, and what is told of it is legal', async () => {
  fc.assert(fc.property(anyTextLike(JSON.stringify(ATA)), (text) => void parseSmart(text)));
  fc.assert(fc.property(fc.json(), (text) => void parseSmart(text)));
  const program = makeProgram(
    `echo '${JSON.stringify({ ...ATA, model_name: '=,\\ud800'.repeat(300), serial_number: '=,'.repeat(300) })}'`,
  );
  const reading = await makeSmartSource({ root: makeRoot(BLOCKS), program }).read();
  const samples = reading.ok ? reading.value.samples : [];
  expect(samples.length).toBeGreaterThan(0);
  expect(samples.flatMap((sample) => findSampleFault(sample) ?? [])).toEqual([]);
});

test('listDisks() names whole disks', () => {
  const names = ['sda', 'sdaa', 'sdb', 'nvme0n1', 'nvme10n1', 'nvme2n1', 'loop0', 'vda', 'dm-0', 'sr0', 'nvme0c0n1'];
  const root = makeRoot(Object.fromEntries(names.map((name) => [`sys/block/${name}/size`, '1\n'])));
  expect(listDisks(root)).toEqual(['nvme0n1', 'nvme2n1', 'nvme10n1', 'sda', 'sdaa', 'sdb']);
});
