import fc from 'fast-check';
import { expect, test } from 'vitest';

import { anyTextLike } from '../testing/any-text.ts';
import { DEBIAN, readFixture, readSamples } from '../testing/fixture.ts';
import { makePressureSource, parsePressure } from './pressure.ts';

test('the pressure source reads a captured machine', async () => {
  const samples = await readSamples(makePressureSource(DEBIAN));
  expect(Object.keys(samples)).toHaveLength(6);
  expect(Object.values(samples).every((seconds) => seconds >= 0 && seconds < 1736.59)).toBe(true);
});

test('the pressure source remarks on a kernel without PSI, and does not fail', async () => {
  const reading = await makePressureSource('/nonexistent').read();
  expect(reading).toEqual({ ok: true, value: { samples: [], remark: expect.stringContaining('PSI') } });
});

test.for([
  ['some avg10=0.04 avg60=0.17 avg300=0.43 total=9986363\n', { some: 9.986363 }], // cpu before Linux 5.13
  ['some avg10=0.00 total=1000000\nfull avg10=0.00 total=500000\n', { some: 1, full: 0.5 }],
  ['some avg10=0.00 total=1000000\nfull avg10=0.00 tot', { some: 1 }],
  ['most avg10=0.00 total=1\nsome total=-1\n', {}],
  ['', {}],
] as const)('parsePressure(%o) is %o', ([text, pressure]) => {
  expect(parsePressure(text)).toEqual(pressure);
});

test('parsePressure() never throws', () => {
  fc.assert(fc.property(anyTextLike(readFixture('proc/pressure/io')), (text) => void parsePressure(text)));
});
