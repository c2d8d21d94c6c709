import fc from 'fast-check';
import { expect, test } from 'vitest';

import { anyTextLike } from '../testing/any-text.ts';
import { DEBIAN, makeRoot, readSamples } from '../testing/fixture.ts';
import { makeConntrackSource, makeHandleSource, parseHandles, readConntrack } from './handle.ts';

const BROKEN = 'proc/sys/fs/file-nr does not hold three numbers';

test.for([
  // /proc/sys/fs/file-nr, used and limit, or what is wrong
  ['833\t0\t2466177\n', { used: 833, limit: 2_466_177 }],
  ['833\t33\t2466177\n', { used: 800, limit: 2_466_177 }],
  ['833\t0\t9223372036854775807\n', { used: 833, limit: null }], // Linux 5.10 and on, by systemd's default
  ['833\t0\t0\n', { used: 833, limit: null }],
  ['833\t0\t2466177', BROKEN],
  ['-1\t0\t7\n', BROKEN],
  ['', BROKEN],
] as const)('parseHandles(%o) is %o', ([text, expected]) => {
  const handles = parseHandles(text);
  expect(handles.ok ? handles.value : handles.error).toEqual(expected);
});

test('the sources of open files and followed connections read a captured machine', async () => {
  const handles = await readSamples(makeHandleSource(DEBIAN));
  expect(Object.keys(handles)).toEqual([
    'system.file_handle.count{}',
    'system.file_handle.limit{}',
    'system.file_handle.utilization{}',
  ]);
  const tracked = await readSamples(makeConntrackSource(DEBIAN));
  expect(tracked).toMatchObject({ 'system.network.conntrack.limit{}': 262_144 });
});

test.for([
  // count, max, what is tracked
  ['65536\n', '65536\n', { used: 65_536, limit: 65_536 }],
  ['7\n', null, { used: 7, limit: null }],
  ['7\n', '0\n', { used: 7, limit: null }],
  [null, '65536\n', null],
  ['garbage', '65536\n', null],
] as const)('readConntrack() of %o and %o is %o', ([count, max, expected]) => {
  const directory = 'proc/sys/net/netfilter';
  const files = {
    ...(count === null ? {} : { [`${directory}/nf_conntrack_count`]: count }),
    ...(max === null ? {} : { [`${directory}/nf_conntrack_max`]: max }),
  };
  expect(readConntrack(makeRoot(files))).toEqual(expected);
});

test('a machine whose firewall follows nothing has no such series, and lacks nothing', async () => {
  expect(await readSamples(makeConntrackSource(makeRoot({})))).toEqual({});
});

test('parseHandles() never throws', () => {
  fc.assert(fc.property(anyTextLike('833\t0\t2466177\n'), (text) => void parseHandles(text)));
});
