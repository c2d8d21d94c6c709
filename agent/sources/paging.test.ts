import fc from 'fast-check';
import { expect, test } from 'vitest';

import { anyTextLike } from '../testing/any-text.ts';
import { DEBIAN, makeRoot, readFixture, readSamples } from '../testing/fixture.ts';
import { makePagingSource, parsePaging, readPaging } from './paging.ts';

test('the paging source reads a captured machine', async () => {
  const count = (name: string) => Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(readFixture('proc/vmstat'))?.[1]);
  expect(await readSamples(makePagingSource(DEBIAN))).toEqual({
    'system.paging.operations{system.paging.direction=in}': 0,
    'system.paging.operations{system.paging.direction=out}': 0,
    'system.paging.faults{system.paging.fault.type=major}': count('pgmajfault'),
    'system.paging.faults{system.paging.fault.type=minor}': count('pgfault') - count('pgmajfault'),
  });
});

test.for([
  // what, /proc/vmstat, paging or why there is none
  ['a kernel without swap', 'pgfault 10\npgmajfault 3\n', { pagesIn: 0, pagesOut: 0, majorFaults: 3, minorFaults: 7 }],
  [
    'one that swaps',
    'pswpin 1\npswpout 2\npgfault 10\npgmajfault 3\npgfault_dma 99\n',
    { pagesIn: 1, pagesOut: 2, majorFaults: 3, minorFaults: 7 },
  ],
  [
    'counters that were not read at one moment',
    'pgfault 2\npgmajfault 3\n',
    { pagesIn: 0, pagesOut: 0, majorFaults: 3, minorFaults: 0 },
  ],
  ['a text cut short', 'pgfault 10\npgmajfault 3', 'proc/vmstat has no pgfault and pgmajfault'],
  ['nothing', '', 'proc/vmstat has no pgfault and pgmajfault'],
] as const)('parsePaging() of %s', ([, text, expected]) => {
  const paging = parsePaging(text);
  expect(paging.ok ? paging.value : paging.error).toEqual(expected);
});

test('readPaging() says that there is no file, and parsePaging() never throws', () => {
  expect(readPaging(makeRoot({}))).toEqual({ ok: false, error: 'there is no proc/vmstat' });
  fc.assert(fc.property(anyTextLike(readFixture('proc/vmstat')), (text) => void parsePaging(text)));
});
