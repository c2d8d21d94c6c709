import fc from 'fast-check';
import { expect, test } from 'vitest';

import { anyTextLike } from '../testing/any-text.ts';
import { DEBIAN, makeRoot, readFixture } from '../testing/fixture.ts';
import { parseDisks, readDisks } from './disk.ts';

test('readDisks() takes the whole disks of a captured machine, without loop and zram', () => {
  const disks = readDisks(DEBIAN);
  if (!disks.ok) throw new Error(disks.error);
  expect(disks.value.map(({ name }) => name)).toEqual(['vda']);
  const [, sectors = ''] = /vda \d+ \d+ (\d+)/.exec(readFixture('proc/diskstats')) ?? [];
  expect(disks.value[0]?.read.bytes).toBe(Number(sectors) * 512);
});

test.for([
  // proc/diskstats, disks in sys/block, error
  [null, ['sda'], 'there is no proc/diskstats'],
  ['garbage\n', ['sda'], 'proc/diskstats lists none of the disks in sys/block'],
] as const)('readDisks() of %o with %o says %o', ([text, disks, error]) => {
  const files = Object.fromEntries(disks.map((disk) => [`sys/block/${disk}/size`, '1']));
  const root = makeRoot({ ...files, ...(text === null ? {} : { 'proc/diskstats': text }) });
  const found = readDisks(root);
  expect(found.ok ? null : found.error).toBe(error);
});

const WORK = {
  read: { operations: 446_216, bytes: 19_092_350 * 512, seconds: 401.184 },
  write: { operations: 6_220, bytes: 153_176 * 512, seconds: 44.696 },
  busySeconds: 97.512,
};

test.for([
  // Linux 2.6.25 … 4.17, 4.18 … 5.4, 5.5 and on
  ['14 columns', '   8       0 sda 446216 784926 19092350 401184 6220 4376 153176 44696 0 97512 448404\n'],
  ['18 columns', '   8 0 sda 446216 784926 19092350 401184 6220 4376 153176 44696 0 97512 448404 1 2 3 4\n'],
  ['20 columns', '   8 0 sda 446216 784926 19092350 401184 6220 4376 153176 44696 0 97512 448404 1 2 3 4 5 6\n'],
] as const)('parseDisks() reads a line of %s', ([, text]) => {
  expect(parseDisks(text)).toEqual([{ name: 'sda', ...WORK }]);
});

test.for([
  ['a partition before Linux 2.6.25', '   8    1 sda1 35486 38030 38030 38030\n'],
  ['a line cut short', '   8 0 sda 446216 784926 19092350 401184 6220 4376 153176 44696 0 97512 448404'],
  ['a negative count', '   8 0 sda -1 784926 19092350 401184 6220 4376 153176 44696 0 97512 448404\n'],
  ['nothing', ''],
] as const)('parseDisks() passes over %s', ([, text]) => {
  expect(parseDisks(text)).toEqual([]);
});

test('parseDisks() never throws, and of a text cut short it takes only whole lines', () => {
  const good = readFixture('proc/diskstats');
  fc.assert(fc.property(anyTextLike(good), (text) => void parseDisks(text)));
  const whole = parseDisks(good);
  fc.assert(
    fc.property(fc.nat(good.length), (end) => {
      const cut = parseDisks(good.slice(0, end));
      expect(cut).toEqual(whole.slice(0, cut.length));
    }),
  );
});
