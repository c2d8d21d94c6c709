import { drawInteger, drawOne } from '../random.ts';

/** MessagePack by hand, because what is wrong with these messages no encoder would write. */
export const nil = Buffer.of(0xc0);

export function number(value: number): Buffer {
  const bytes = Buffer.alloc(9, 0xcb);
  bytes.writeDoubleBE(value, 1);
  return bytes;
}

export function text(value: string | Buffer): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([bytes.length < 32 ? Buffer.of(0xa0 | bytes.length) : counted(0xdb, bytes.length), bytes]);
}

export function binary(value: Uint8Array): Buffer {
  return Buffer.concat([counted(0xc6, value.length), value]);
}

export function list(items: readonly Buffer[]): Buffer {
  return Buffer.concat([counted(0xdd, items.length), ...items]);
}

export type Entry = readonly [key: Buffer, value: Buffer];

export function map(entries: readonly Entry[]): Buffer {
  return Buffer.concat([counted(0xdf, entries.length), ...entries.flat()]);
}

/** The head of a type with a length of four bytes, which need not be true. */
export function counted(type: number, length: number): Buffer {
  const bytes = Buffer.alloc(5, type);
  bytes.writeUInt32BE(length, 1);
  return bytes;
}

/** Arrays in one another; the head alone, so that a million of them are a megabyte. */
export function nested(depth: number): Buffer {
  return Buffer.concat([Buffer.alloc(depth, 0x91), nil]);
}

const hex = (digits: string): Buffer => Buffer.from(digits.replaceAll(' ', ''), 'hex');

export const HOSTILE_TEXTS: readonly [string, ...string[]] = [
  '',
  ' ',
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'a\r\nSet-Cookie: b=c',
  'a\n\nDROP TABLE muster.samples',
  "'; DROP TABLE muster.samples; --",
  '<img src=x onerror=alert(1)>',
  '\u0000',
  '\u202egnp.exe',
  '\u001b[2J',
  'a=b,a=b',
  'a=1,b',
  '\\',
  '{metric:String}',
  'x'.repeat(255),
  'x'.repeat(10_000),
  'ä'.repeat(5_000),
];

/** Values that are none of ours, or lie about themselves. */
const HOSTILE_VALUES: readonly [Buffer, ...Buffer[]] = [
  nil,
  hex('c1'), // never used
  hex('c2'),
  hex('c3'),
  ...[NaN, Infinity, -Infinity, -0, -1, 0.5, 2 ** 53, 2 ** 53 - 1, 2 ** 63, -(2 ** 63), 1e308, 5e-324].map(number),
  hex('ca 7fc00000'), // a NaN of 32 bits
  hex('cf ffffffffffffffff'),
  hex('d3 8000000000000000'),
  hex('e0'),
  ...HOSTILE_TEXTS.map(text),
  text(hex('eda080')), // half of a pair, as UTF-8 does not allow
  text(hex('ff fe 80')),
  hex('90'),
  hex('80'),
  hex('c4 00'),
  map([[text('__proto__'), map([[text('polluted'), hex('c3')]])]]),
  map([[text('constructor'), map([[text('prototype'), hex('80')]])]]),
  map([[number(1), nil]]),
  map([[nested(1), nil]]),
  nested(7),
  nested(8),
  nested(9),
  nested(1_000),
  ...['d4 00 00', 'd5 00 0000', 'd6 ff 00000000', 'd7 ff 0000000000000000', `d8 00 ${'00'.repeat(16)}`].map(hex),
  ...['c7 00 ff', 'c7 ff 00', 'c8 0001 78 00', 'c9 ffffffff 00', 'd4 72 40', 'c7 01 65 00'].map(hex),
  ...[0xc6, 0xdb, 0xdd, 0xdf].flatMap((type) => [counted(type, 0xffff_ffff), counted(type, 0x7fff_ffff)]),
  hex('c4 ff'),
  hex('d9 ff 61'),
  hex('dc ffff c0'),
  hex('de ffff a161'),
  counted(0xdd, 100_001),
];

export function drawHostile(random: () => number): Buffer {
  const chance = random();
  if (chance < 0.0005) return nested(1_000_000);
  if (chance < 0.002) return Buffer.concat([counted(0xdd, 100_001), Buffer.alloc(100_001, 0xc0)]);
  if (chance < 0.05)
    return list(Array.from({ length: drawInteger(random, 0, 30) }, () => drawOne(random, HOSTILE_VALUES)));
  return drawOne(random, HOSTILE_VALUES);
}
