import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import fc from 'fast-check';
import { pack, unpack } from 'msgpackr';
import { expect, test } from 'vitest';

import { decodeBatch, encodeBatch, type Batch } from './batch.ts';
import { formatLabels } from './labels.ts';

/** The batch of testdata/batch-v1.hex. */
const GOLDEN: Batch = {
  epoch: 0xdeadbeef,
  seq: 7,
  sentMs: 1_795_312_805_123,
  ticksMs: [1_795_312_795_000, 1_795_312_800_000, 1_795_312_805_000],
  series: [
    ['system.cpu.utilization', ''],
    ['system.cpu.utilization', 'cpu.mode=user'],
    ['system.filesystem.usage', 'system.filesystem.mountpoint=/a\\,b'],
  ],
  values: Float64Array.of(NaN, 0.25, 0.5, 0, -0, 1, 4096, 2 ** 53, 1e-300),
  info: { os: 'Debian GNU/Linux 12', kernel: '6.1.0', arch: 'x64', cores: 2, memoryBytes: 25_281_118_208 },
  events: [
    { kind: 'boot', atMs: 1_795_312_790_000 },
    { kind: 'gap', fromMs: 1_795_312_700_000, toMs: 1_795_312_790_000, dropped: 1080 },
  ],
};
const GOLDEN_BYTES = Buffer.from(
  readFileSync(join(import.meta.dirname, 'testdata/batch-v1.hex'), 'utf8').replaceAll(/\s/g, ''),
  'hex',
);

test('encodeBatch() writes version 1 byte for byte', () => {
  expect(Buffer.from(encodeBatch(GOLDEN)).toString('hex')).toBe(GOLDEN_BYTES.toString('hex'));
});

test('decodeBatch() reads version 1', () => {
  expect(decodeBatch(GOLDEN_BYTES)).toEqual({ ok: true, value: GOLDEN });
});

test('decodeBatch() gives back what encodeBatch() took', () => {
  fc.assert(
    fc.property(arbitraryBatch(), (batch) => {
      expect(decodeBatch(encodeBatch(batch))).toEqual({ ok: true, value: { events: [], ...batch } });
    }),
  );
});

test('decodeBatch() reads a batch wherever it lies in a larger buffer', () => {
  for (let shift = 0; shift < 9; shift += 1) {
    const larger = Buffer.alloc(GOLDEN_BYTES.length + 16);
    larger.set(GOLDEN_BYTES, shift);
    expect(decodeBatch(larger.subarray(shift, shift + GOLDEN_BYTES.length)).ok).toBe(true);
  }
});

test('decodeBatch() never throws, however the bytes are broken', () => {
  const position = fc.nat({ max: GOLDEN_BYTES.length - 1 });
  fc.assert(
    fc.property(
      fc.array(fc.tuple(position, fc.nat({ max: 255 })), { maxLength: 5 }),
      fc.nat({ max: GOLDEN_BYTES.length }),
      (flips, length) => {
        const bytes = Buffer.from(GOLDEN_BYTES);
        for (const [at, value] of flips) bytes[at] = value;
        void decodeBatch(bytes.subarray(0, length));
        void decodeBatch(bytes);
      },
    ),
    { numRuns: 3000 },
  );
});

const plain = unpack(GOLDEN_BYTES) as Record<string, unknown>; // the golden batch, a map

test.for([
  ['a later version', { v: 2 }, 'v must be 1, was 2'],
  ['no epoch', { epoch: null }, 'epoch must be a whole number'],
  ['a negative seq', { seq: -1 }, 'seq must be a whole number, was -1'],
  ['a broken seq', { seq: 1.5 }, 'seq must be a whole number, was 1.5'],
  ['a time that is none', { sentMs: NaN }, 'sentMs must be Unix milliseconds'],
  ['ticks that are none', { t: 'now' }, 't must be an array'],
  ['ticks that fall', { t: [2, 1, 3] }, 'ticks must rise, but 1 follows 2'],
  ['a tick twice', { t: [1, 1, 2] }, 'ticks must rise, but 1 follows 1'],
  ['too many ticks', { t: Array.from({ length: 601 }, (_, i) => i) }, '601 ticks, more than 600'],
  ['series that are none', { s: 1 }, 's must be an array'],
  ['a series without labels', { s: [['a.b']] }, 'a series must be [metric, labels]'],
  ['a metric in capitals', { s: [['CPU', '']] }, 'lower-case words joined by dots'],
  ['a metric with a quote', { s: [["a'b", '']] }, 'lower-case words joined by dots'],
  ['a long metric', { s: [['a'.repeat(129), '']] }, 'lower-case words joined by dots'],
  ['labels that are no text', { s: [['a', 1]] }, 'the labels of a must be one string'],
  ['labels unsorted', { s: [['a', 'b=1,a=2']] }, 'does not sort after'],
  ['labels too long', { s: [['a', `b=${'c'.repeat(1024)}`]] }, '1026 characters, more than 1024'],
  [
    'a series twice',
    {
      s: [
        ['a', ''],
        ['a', ''],
      ],
    },
    'is there twice',
  ],
  ['values as a list', { x: [1, 2, 3] }, 'x must be binary'],
  ['too few values', { x: new Uint8Array(8) }, 'x must be 72 bytes (8 a sample), was 8'],
  ['an inventory that is none', { info: 'Debian' }, 'info must be a map'],
  ['an inventory with a long text', { info: { os: 'x'.repeat(257) } }, 'info.os must be a short text'],
  ['an inventory with half a core', { info: { cores: 1.5 } }, 'info.cores must be a whole number'],
  ['events that are none', { events: {} }, 'events must be an array'],
  [
    'too many events',
    { events: Array.from({ length: 101 }, () => ({ kind: 'boot', atMs: 1 })) },
    '101 events, more than 100',
  ],
  [
    'an event that ends before it began',
    { events: [{ kind: 'gap', fromMs: 2, toMs: 1, dropped: 1 }] },
    'lacks its times',
  ],
  [
    'a gap of a record that is none',
    { events: [{ kind: 'gap', fromMs: 1, toMs: 2, dropped: 1, seq: -1 }] },
    'lacks its times',
  ],
  [
    'a gap for a reason that is no word',
    { events: [{ kind: 'gap', fromMs: 1, toMs: 2, dropped: 1, reason: '<b>' }] },
    'its reason is no word',
  ],
  ['a batch of records that come after it', { since: 8 }, 'since must be at most seq'],
  ['a batch of too many records', { seq: 700, since: 100 }, 'less than 600 before it, was 100'],
  ['a run that is none', { run: 'first' }, 'run must be a whole number'],
  ['an interval of nothing', { everyMs: 0 }, 'everyMs must be 1 to 3600000'],
  ['labels that are none', { info: { labels: 'web' } }, 'info.labels must be a map'],
  ['a label with a key of capitals', { info: { labels: { Role: 'web' } } }, 'a key that is no lower-case word: "Role"'],
  ['an empty label', { info: { labels: { role: '' } } }, 'info.labels.role must be 1 to 128 characters'],
  [
    'too many labels',
    { info: { labels: Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`k${i}`, 'v'])) } },
    'info.labels holds 33, more than 32',
  ],
  [
    'a long subject',
    { events: [{ kind: 'oom-kill', atMs: 1, subject: 'x'.repeat(257) }] },
    'its subject no short text',
  ],
  ['an event without a kind', { events: [{ atMs: 1 }] }, 'an event must be a map with a kind'],
] as const)('decodeBatch() refuses %s', ([, change, reason]) => {
  const decoded = decodeBatch(pack({ ...plain, ...change }));
  expect(decoded.ok ? 'taken' : decoded.error).toContain(reason);
});

test('decodeBatch() passes over fields, inventory and events that it does not know', () => {
  const decoded = decodeBatch(
    pack({ ...plain, future: [1, 2], info: { os: 'Linux', shoeSize: 43 }, events: [{ kind: 'lunch', atMs: 1 }] }),
  );
  expect(decoded).toEqual({ ok: true, value: { ...GOLDEN, info: { os: 'Linux' }, events: [] } });
});

test('decodeBatch() takes the labels of a host and what events are about', () => {
  const info = { labels: { region: 'eu', 'rack.row': '12' } };
  const events = [
    { kind: 'oom-kill', atMs: 1, subject: 'java (pid 7)' },
    { kind: 'source-off', atMs: 2 },
  ] as const;
  const decoded = decodeBatch(pack({ ...plain, info, events }));
  expect(decoded.ok && [decoded.value.info, decoded.value.events]).toEqual([info, events]);
});

function arbitraryBatch(): fc.Arbitrary<Batch> {
  const count = fc.nat({ max: Number.MAX_SAFE_INTEGER });
  const metric = fc.stringMatching(/^[a-z][a-z0-9_]{0,5}(\.[a-z0-9_]{1,5}){0,3}$/);
  const labels = fc
    .dictionary(fc.string({ minLength: 1, maxLength: 8 }), fc.string({ maxLength: 8 }), { maxKeys: 3 })
    .map(formatLabels);
  const series = fc.uniqueArray(fc.tuple(metric, labels), { maxLength: 6, selector: (pair) => pair.join(' ') });
  const ticks = fc.uniqueArray(count, { maxLength: 6 }).map((list) => list.toSorted((a, b) => a - b));
  const origin = fc.record({ run: count, everyMs: fc.integer({ min: 1, max: 60_000 }) }, { requiredKeys: [] });
  return fc
    .tuple(count, count, count, ticks, series, origin)
    .chain(([epoch, seq, sentMs, ticksMs, list, more]) =>
      fc
        .array(fc.double(), { minLength: ticksMs.length * list.length, maxLength: ticksMs.length * list.length })
        .map((values) =>
          Object.assign(
            { epoch, seq, since: seq, sentMs, ticksMs, series: list, values: Float64Array.from(values) },
            more,
          ),
        ),
    );
}
