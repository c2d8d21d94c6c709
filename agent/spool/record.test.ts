import { expect, test } from 'vitest';

import { decodeHead, encodeHead } from './head.ts';
import { decodeRecord, encodeRecord } from './record.ts';

// What an agent has written, a later version reads: these bytes stay.
const HEAD_HEX =
  'befd643501000000efbeadde881300000000000000002840000000000090754000000000000008400000000000003e4000008056febc7842';
const RECORD_HEX =
  '4d53523104a7b026156a2c420700000001000000efbeadde0000000000002840070000008813000000000000009075400000805' +
  '6febc78420080b857febc784200000000000008400000000000003e407061796c6f6164';

const COMMON = { epoch: 0xdeadbeef, seq: 12, taken: 345, floor: 3, floorTaken: 30, everyMs: 5_000 };
const HEAD = { ...COMMON, lastMs: 1_700_000_000_000, isClosed: true };
const HEADER = { ...COMMON, kind: 'settled', samples: 7, fromMs: 1_700_000_000_000, toMs: 1_700_000_005_000 } as const;

test('a head has its golden bytes twice, and either copy is enough', () => {
  const bytes = encodeHead(HEAD);
  expect(bytes.toString('hex')).toBe(HEAD_HEX + HEAD_HEX);
  expect(decodeHead(bytes.fill(0, 0, 9))).toEqual(HEAD);
  expect(decodeHead(bytes.subarray(0, -1))).toBe(null);
});

test('a record has its golden bytes', () => {
  const payload = Buffer.from('payload');
  const bytes = encodeRecord(HEADER, payload);
  expect(bytes.toString('hex')).toBe(RECORD_HEX);
  expect(decodeRecord(bytes, 0)).toEqual({ at: 0, bytes: 87, header: HEADER, payload });
  expect(decodeRecord(bytes.subarray(0, 79), 0)).toBe(null);
});
