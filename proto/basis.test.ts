import { createHash } from 'node:crypto';

import fc from 'fast-check';
import { pack, unpack } from 'msgpackr';
import { expect, test } from 'vitest';

import { decodePush, encodeBrief, fitToBasis, makeBasis, type Basis, type Hash } from './basis.ts';
import { encodeBatch, type Batch, type Series } from './batch.ts';

const hash: Hash = (bytes) => createHash('sha256').update(bytes).digest();

const SERIES: readonly Series[] = [
  ['system.uptime', ''],
  ['system.cpu.time', 'cpu.mode=user'],
  ['system.disk.io', 'disk.io.direction=read,system.device=vda'],
];
const FIRST: Batch = {
  epoch: 0xdeadbeef,
  seq: 7,
  run: 4711,
  sentMs: 1_795_312_805_123,
  everyMs: 5_000,
  ticksMs: [1_795_312_800_000, 1_795_312_805_000],
  series: SERIES,
  values: Float64Array.of(100, 105, 12.34, NaN, 4096, 8192),
  keep: true,
};
const BASIS = makeBasis(FIRST, null, hash);
const NEXT: Batch = {
  ...FIRST,
  seq: 8,
  ticksMs: [1_795_312_810_000],
  values: Float64Array.of(110, 12.5, 8192),
};

/** What the other side makes of a batch that is told beside a basis; null where it is told in full. */
function tell(batch: Batch, basis: Basis): Batch | null {
  const fitted = fitToBasis(batch, basis);
  if (fitted === null) return null;
  const decoded = decodePush(encodeBrief(fitted, basis), basis);
  if (!decoded.ok) throw new Error(JSON.stringify(decoded.error));
  expect(decoded.value.beside).toBe(basis);
  return decoded.value.batch;
}

/** Its samples, whatever the order of its series. */
function samplesOf({ series, ticksMs, values }: Batch): ReadonlyMap<string, number> {
  const samples = new Map<string, number>();
  for (const [row, one] of series.entries()) {
    for (const [column, tickMs] of ticksMs.entries()) {
      const value = values[row * ticksMs.length + column] ?? NaN;
      if (!Number.isNaN(value)) samples.set(`${one.join(' ')} ${tickMs}`, value);
    }
  }
  return samples;
}

test('a batch that is told beside a basis arrives as it was, and is a tenth of its bytes', () => {
  expect(tell(NEXT, BASIS)).toEqual({ ...NEXT, events: [] });
  expect(encodeBrief(NEXT, BASIS).length).toBeLessThan(75);
});

test('encodeBrief() writes version 2 byte for byte', () => {
  const batch = {
    ...NEXT,
    series: [...SERIES, ['system.new', 'a=b'] as const],
    values: Float64Array.of(110, 12.5, 8192, 1 / 3),
  };
  expect(Buffer.from(encodeBrief(batch, BASIS)).toString('hex')).toBe(
    '87a17602a466726f6dc410c893d6e89b69c6f0361071ad5b2024c0a373657108a673656e744d73cb427a200fb6503000a17491cb427a200fb7810000a1739192aa73797374656d2e6e6577a3613d62a164c40c0b50210f555555555555d53f',
  );
});

test('a hole leaves the value before it in the basis, and that it was there', () => {
  expect(BASIS.last).toEqual({ values: Float64Array.of(105, 12.34, 8192), holes: Uint8Array.of(0, 1, 0) });
});

test('the series of a batch may come, go, and stand in any order', () => {
  const series = [SERIES[2], ['system.new', 'a=b'], SERIES[0]] as Series[];
  const batch = { ...NEXT, series, values: Float64Array.of(9000, 1, 110) };
  const told = tell(batch, BASIS);
  expect(told?.series).toEqual([...SERIES, ['system.new', 'a=b']]);
  expect(told && samplesOf(told)).toEqual(samplesOf(batch));
});

test('both sides go on from the same basis, however samples and series change', () => {
  const sample = fc.oneof(fc.double(), fc.integer(), fc.constantFrom(NaN, 0, -0, Infinity));
  const one = fc
    .tuple(fc.integer({ min: 1, max: 3 }), fc.subarray(['a', 'b', 'c', 'd', 'e'], { minLength: 1 }))
    .chain(([ticks, names]) =>
      fc
        .array(sample, { minLength: ticks * names.length, maxLength: ticks * names.length })
        .map((values) => ({ ticks, names, values })),
    );
  fc.assert(
    fc.property(fc.array(one, { minLength: 2, maxLength: 6 }), (steps) => {
      let mine: Basis | null = null;
      let theirs: Basis | null = null;
      for (const [index, { ticks, names, values }] of steps.entries()) {
        const batch: Batch = {
          ...FIRST,
          seq: index,
          ticksMs: Array.from({ length: ticks }, (_, i) => 10 * index + i),
          series: names.map((name) => [name, ''] as const),
          values: Float64Array.from(values),
        };
        const fitted: Batch | null = mine === null ? null : fitToBasis(batch, mine);
        const isBrief = mine !== null && fitted !== null;
        const bytes: Uint8Array = isBrief ? encodeBrief(fitted, mine as Basis) : encodeBatch(batch);
        const decoded = decodePush(bytes, theirs);
        if (!decoded.ok) throw new Error(JSON.stringify(decoded.error));
        expect(samplesOf(decoded.value.batch)).toEqual(samplesOf(batch));
        mine = makeBasis(fitted ?? batch, fitted === null ? null : mine, hash);
        theirs = makeBasis(decoded.value.batch, decoded.value.beside, hash);
        expect(Buffer.from(theirs.id).toString('hex')).toBe(Buffer.from(mine.id).toString('hex'));
      }
    }),
  );
});

test.for([
  ['of another spool', { epoch: 1 }],
  ['of another start of the agent', { run: 1 }],
  ['at another interval', { everyMs: 1_000 }],
  ['joined of several records', { since: 3 }],
  ['with other series', { series: [['system.other', '']], values: Float64Array.of(1) }],
  ['with more samples than may come', { ticksMs: Array.from({ length: 200_000 }, (_, i) => i) }],
] as const)('fitToBasis() does not fit a batch %s', ([, change]) => {
  const series = change as Partial<Batch>;
  expect(fitToBasis({ ...NEXT, series: [...SERIES].toReversed(), ...series }, BASIS)).toBe(null);
});

test.for([
  ['one value less', { values: Float64Array.of(100, 105, 12.34, NaN, 4096, 8191) }],
  ['another label', { series: [...SERIES.slice(0, 2), ['system.disk.io', 'disk.io.direction=read']] }],
  ['the same texts cut in another place', { series: [['system.uptime', ''], ['system.cpu', '.time'], SERIES[2]] }],
  ['a hole less', { values: Float64Array.of(100, 105, NaN, 12.34, 4096, 8192) }],
  ['another order', { series: SERIES.toReversed() }],
  ['another spool', { epoch: 1 }],
  ['another start', { run: 1 }],
  ['another interval', { everyMs: 1_000 }],
] as const)('a basis of %s is another one, and what names the first is not read beside it', ([, change]) => {
  const other = makeBasis({ ...FIRST, ...(change as Partial<Batch>) }, null, hash);
  expect(decodePush(encodeBrief(NEXT, BASIS), other)).toEqual({ ok: false, error: { kind: 'unknown-basis' } });
  expect(decodePush(encodeBrief(NEXT, BASIS), null)).toEqual({ ok: false, error: { kind: 'unknown-basis' } });
});

const plain = unpack(encodeBrief(NEXT, BASIS)) as Record<string, unknown>; // a map

test.for([
  ['no basis', { from: 'it' }, 'from must be 16 bytes'],
  ['no number', { seq: null }, 'seq must be a whole number'],
  ['ticks that fall', { t: [2, 1] }, 'ticks must rise'],
  ['a series that is there', { s: [['system.uptime', '']] }, 'is there twice'],
  ['a series that is none', { s: [['A', '']] }, 'lower-case words'],
  ['differences that are none', { d: [1] }, 'd must be binary'],
  ['too few differences', { d: new Uint8Array(0) }, 'cut short'],
  ['an event that is none', { events: [{ kind: 'boot' }] }, 'lacks its times'],
] as const)('decodePush() refuses %s', ([, change, reason]) => {
  const decoded = decodePush(pack({ ...plain, ...change }), BASIS);
  expect(decoded).toMatchObject({ ok: false, error: { kind: 'malformed' } });
  expect(JSON.stringify(decoded)).toContain(reason);
});

test('decodePush() makes no more samples than could come in full', () => {
  const wide = makeBasis(
    {
      ...FIRST,
      series: Array.from({ length: 2_000 }, (_, i) => ['a', `b=${i}`] as const),
      values: new Float64Array(4_000),
    },
    null,
    hash,
  );
  const ticks = Array.from({ length: 600 }, (_, i) => i);
  const bomb = pack({ ...plain, from: wide.id, t: ticks, d: new Uint8Array(150_000) });
  expect(JSON.stringify(decodePush(bomb, wide))).toContain('1200000 samples, more than 524288');
});

test('decodePush() never throws, however the bytes are broken', () => {
  const whole = encodeBrief({ ...NEXT, events: [{ kind: 'boot', atMs: 1 }] }, BASIS);
  const position = fc.nat({ max: whole.length - 1 });
  fc.assert(
    fc.property(
      fc.array(fc.tuple(position, fc.nat({ max: 255 })), { maxLength: 4 }),
      fc.nat({ max: whole.length }),
      (flips, length) => {
        const bytes = Buffer.from(whole);
        for (const [at, value] of flips) bytes[at] = value;
        void decodePush(bytes, BASIS);
        void decodePush(bytes.subarray(0, length), BASIS);
      },
    ),
    { numRuns: 3000 },
  );
});
