import fc from 'fast-check';
import { expect, test } from 'vitest';

import { encodeReturn } from '../../testing/systemd.ts';
import { decodeMessage, encodeCall, measureMessage, MESSAGE_BYTES_MAX, splitTypes } from './dbus-wire.ts';

// A dialogue with dbus-daemon 1.14: our call, and what it sent back, its answer and a signal.
const HELLO =
  '6c01020100000000010000006d00000001016f00150000002f6f72672f667265656465736b746f702f4442757300000002017300140000006f72672e667265656465736b746f702e4442757300000000030173000500000048656c6c6f00000006017300140000006f72672e667265656465736b746f702e4442757300000000';
const ANSWER =
  '6c02010109000000010000003d00000006017300040000003a312e30000000000501750001000000080167000173000007017300140000006f72672e667265656465736b746f702e4442757300000000040000003a312e3000';
const SIGNAL =
  '6c04010109000000020000008d00000001016f00150000002f6f72672f667265656465736b746f702f4442757300000002017300140000006f72672e667265656465736b746f702e4442757300000000030173000c0000004e616d6541637175697265640000000006017300040000003a312e3000000000080167000173000007017300140000006f72672e667265656465736b746f702e4442757300000000040000003a312e3000';

test('encodeCall() gives the golden bytes', () => {
  const bus = { destination: 'org.freedesktop.DBus', path: '/org/freedesktop/DBus', interface: 'org.freedesktop.DBus' };
  expect(encodeCall(1, { ...bus, member: 'Hello', texts: [] }).toString('hex')).toBe(HELLO);
});

test('decodeMessage() reads the golden bytes', () => {
  const answer = { kind: 'return', replyTo: 1, errorName: null, body: [':1.0'] };
  expect(decodeMessage(Buffer.from(ANSWER, 'hex'))).toEqual({ ok: true, value: answer });
  const signal = { kind: 'signal', replyTo: null, errorName: null, body: [':1.0'] };
  expect(decodeMessage(Buffer.from(SIGNAL, 'hex'))).toEqual({ ok: true, value: signal });
});

test('what encodeCall() makes is one message, with its texts', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'grapheme' }), { maxLength: 5 }), (texts) => {
      const call = encodeCall(7, { destination: 'a.b', path: '/a', interface: 'c.d', member: 'E', texts });
      expect(measureMessage(call)).toEqual({ ok: true, value: call.length });
      expect(decodeMessage(call)).toMatchObject({ ok: true, value: { kind: 'call', body: texts } });
    }),
  );
});

test.for([
  // signature, body, value
  ['u', '07000000', [7]],
  ['x', 'ffffffffffffffff', [-1n]],
  ['v', '0175000007000000', [7]],
  ['au', '080000000100000002000000', [[1, 2]]],
  ['au', '00000000', [[]]],
  ['a(y)', '0900000000000000010000000000000002', [[[1], [2]]]],
  ['a{sv}', '0f0000000000000001000000610001620000000001000000', [[['a', true]]]],
  ['(yq)s', '01000200010000006100', [[1, 2], 'a']],
  ['d', '000000000000f03f', [1]],
] as const)('decodeMessage() reads %s', ([signature, body, value]) => {
  const bytes = encodeReturn(1, signature, Buffer.from(body, 'hex'));
  expect(decodeMessage(bytes)).toMatchObject({ ok: true, value: { body: value } });
});

test.for([
  ['a list that ends behind the end', 'au', 'ff000000'],
  ['a text that ends behind the end', 's', 'ffffff7f'],
  ['a type that is none', '!', '00'],
  ['an empty structure', 'a()', '0800000000000000'],
  ['a structure that is not closed', '(u', '01000000'],
  ['variants in variants', 'v', '017600'.repeat(40)],
  ['lists in lists', `${'a'.repeat(40)}u`, '00000000'],
] as const)('decodeMessage() refuses %s', ([, signature, body]) => {
  const bytes = encodeReturn(1, signature, Buffer.from(body, 'hex'));
  const isRefused = !decodeMessage(bytes).ok;
  expect(isRefused || signature.startsWith('aaaa')).toBe(true); // an empty list has nothing in it to look at
});

test('decodeMessage() and measureMessage() never throw', () => {
  const good = Buffer.from(ANSWER, 'hex');
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void decodeMessage(Buffer.from(bytes))));
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.nat(255), fc.nat(good.length), (at, byte, end) => {
      const bytes = Buffer.from(good);
      bytes[at] = byte;
      void measureMessage(bytes.subarray(0, end));
      void decodeMessage(bytes.subarray(0, end));
    }),
  );
});

test('measureMessage() refuses what is too long, and what is not little-endian', () => {
  const long = Buffer.from(ANSWER, 'hex');
  long.writeUInt32LE(MESSAGE_BYTES_MAX, 4);
  expect(measureMessage(long).ok).toBe(false);
  expect(measureMessage(Buffer.from(`42${ANSWER.slice(2)}`, 'hex')).ok).toBe(false);
  expect(measureMessage(long.subarray(0, 15))).toEqual({ ok: true, value: null });
});

test.for([
  ['sa{sv}u', ['s', 'a{sv}', 'u']],
  ['a(ssssssouso)', ['a(ssssssouso)']],
  ['aa(y(nq))(u)', ['aa(y(nq))', '(u)']],
  ['', []],
] as const)('splitTypes(%s) is %o', ([signature, types]) => {
  expect(splitTypes(signature)).toEqual(types);
});
