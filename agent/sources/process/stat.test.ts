import fc from 'fast-check';
import { expect, test } from 'vitest';

import { anyTextLike } from '../../testing/any-text.ts';
import { makeStat } from '../../testing/process.ts';
import { parseStat } from './stat.ts';

function parse(text: string | Buffer) {
  const bytes = Buffer.from(text);
  return parseStat(bytes, bytes.length);
}

// Of this machine (Linux 6.18): a program in a namespace, and a thread of the kernel.
const CAT =
  '29914 (cat) R 29912 29912 13463 0 -1 4194304 98 0 0 0 3 4 0 0 20 0 1 0 3412542 3133440 394 18446744073709551615 94630184337408 0\n';
const KWORKER =
  '12 (kworker/R-mm_percpu_wq) I 2 0 0 0 -1 69238880 0 0 0 0 0 0 0 0 0 -20 1 0 8 0 0 18446744073709551615 0 0 0 0\n';

test.for([
  [CAT, { name: 'cat', state: 'R', isKernel: false, cpuTicks: 7, threads: 1, startTicks: 3_412_542, rssPages: 394 }],
  [
    KWORKER,
    { name: 'kworker/R-mm_percpu_wq', state: 'I', isKernel: true, cpuTicks: 0, threads: 1, startTicks: 8, rssPages: 0 },
  ],
] as const)('parseStat(%s)', ([text, stat]) => {
  expect(parse(text)).toEqual(stat);
});

test.for(['(sd-pam)', 'a b', 'x) R 1 (y', ')', '(((', 'a\nb', ') S 0 0 0 0 0 0 0 0', '', 'naïve'])(
  'parseStat() reads the columns whatever the name is: %o',
  (name) => {
    expect(parse(makeStat({ pid: 7, name, utime: 5, rss: 9 }))).toMatchObject({ name, cpuTicks: 5, rssPages: 9 });
  },
);

test('parseStat() reads a name that is no UTF-8', () => {
  const [head = '', tail = ''] = makeStat({ pid: 7, name: '|' }).split('|');
  expect(parse(Buffer.concat([Buffer.from(head), Buffer.from([0xff, 0xfe]), Buffer.from(tail)]))?.name).toBe('��');
});

test('parseStat() takes a memory below nothing for none', () => {
  expect(parse(makeStat({ pid: 1, name: 'a', rss: -3 }))?.rssPages).toBe(0);
});

test('parseStat() never throws, and reads all of it or nothing', () => {
  fc.assert(fc.property(anyTextLike(CAT), (text) => void parse(text)));
  const whole = parse(CAT);
  fc.assert(
    fc.property(fc.nat(CAT.length), (end) => {
      expect([whole, null]).toContainEqual(parse(CAT.slice(0, end)));
    }),
  );
});

test('parseStat() looks at nothing behind the length', () => {
  const bytes = Buffer.from(`${CAT}) R 1 1 1`);
  expect(parseStat(bytes, CAT.length)?.name).toBe('cat');
});
