import { expect, test } from 'vitest';

import {
  formatAge,
  formatByteRate,
  formatBytes,
  formatCount,
  formatDay,
  formatDuration,
  formatElapsed,
  formatInstant,
  formatNumber,
  formatQuantity,
  formatRate,
  formatRatio,
  formatTime,
} from './format.ts';

const plain = (text: string): string => text.replaceAll('\u00a0', ' ');
const GIB = 1024 ** 3;

test.for([
  [null, '–'],
  [Number.NaN, '–'],
  [0, '0 %'],
  [0.0004, '0 %'],
  [0.034, '3.4 %'],
  [0.0996, '10 %'],
  [0.5, '50 %'],
  [0.9949, '99.4 %'],
  [0.9999, '99.9 %'],
  [1, '100 %'],
  [1.5, '150 %'],
] as const)('formatRatio(%s) is %s', ([ratio, text]) => expect(plain(formatRatio(ratio))).toBe(text));

test.for([
  [null, '–'],
  [0, '0 B'],
  [1, '1 B'],
  [1023, '1023 B'],
  [1023.7, '1.0 KiB'],
  [1536, '1.5 KiB'],
  [15.6 * GIB, '15.6 GiB'],
  [124.4 * 1024 ** 2, '124 MiB'],
  [1023.6 * GIB, '1.0 TiB'],
  [3 * 1024 ** 7, '3072 EiB'],
] as const)('formatBytes(%s) is %s', ([bytes, text]) => expect(plain(formatBytes(bytes))).toBe(text));

test('formatByteRate() says per second, and nothing of an unknown rate', () => {
  expect([formatByteRate(2048), formatByteRate(null)].map(plain)).toEqual(['2.0 KiB/s', '–']);
});

test.for([
  [null, '–'],
  [0, '0/s'],
  [3.21, '3.2/s'],
  [250, '250/s'],
  [1200, '1.2 k/s'],
  [999.9, '1.0 k/s'],
] as const)('formatRate(%s) is %s', ([rate, text]) => expect(plain(formatRate(rate))).toBe(text));

test.for([
  [null, '–'],
  [0, '0.00'],
  [1.239, '1.24'],
  [123.4, '123'],
  [1234.5, '1,235'],
] as const)('formatNumber(%s) is %s', ([value, text]) => expect(formatNumber(value)).toBe(text));

test.for([
  [0, '0'],
  [999, '999'],
  [1000, '1,000'],
  [1_234_567, '1,234,567'],
  [null, '–'],
] as const)('formatCount(%s) is %s', ([count, text]) => expect(formatCount(count)).toBe(text));

test.for([
  [null, '–'],
  [-5, '0 s'],
  [42_900, '42 s'],
  [302_000, '5 min 2 s'],
  [3 * 3_600_000 + 12 * 60_000, '3 h 12 min'],
  [86_400_000 * 12 + 4 * 3_600_000 + 59_000, '12 d 4 h'],
] as const)('formatDuration(%s) is %s', ([durationMs, text]) => expect(plain(formatDuration(durationMs))).toBe(text));

test.for([
  [null, '–'],
  [-3000, 'now'],
  [9999, 'now'],
  [12_000, '12 s ago'],
  [60_000, '1 min ago'],
  [3_600_000, '1 h ago'],
  [47 * 3_600_000, '47 h ago'],
  [3 * 86_400_000, '3 d ago'],
] as const)('formatAge(%s) is %s', ([ageMs, text]) => expect(plain(formatAge(ageMs))).toBe(text));

test('formatElapsed() counts seconds from the start, never below none', () => {
  expect([formatElapsed(3400), formatElapsed(-1)].map(plain)).toEqual(['3 s ago', '0 s ago']);
});

test('times are written in local time', () => {
  const atMs = new Date(2026, 10, 12, 4, 2, 9).getTime();
  expect([formatTime(atMs), formatDay(atMs), formatInstant(atMs), formatInstant(null)]).toEqual([
    '04:02:09',
    '12 Nov',
    '12 Nov 04:02:09',
    '–',
  ]);
});

test.for([
  ['ratio', 0.25, '25 %'],
  ['bytes', 2048, '2.0 KiB'],
  ['byte-rate', 2048, '2.0 KiB/s'],
  ['rate', 2, '2.0/s'],
  ['number', 2, '2.00'],
] as const)('formatQuantity(%s, %d) is %s', ([quantity, value, text]) =>
  expect(plain(formatQuantity(quantity, value))).toBe(text),
);
