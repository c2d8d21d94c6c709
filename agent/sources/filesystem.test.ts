import { statfs } from 'node:fs/promises';

import { LABELS_LENGTH_MAX } from '@muster/proto/labels';
import fc from 'fast-check';
import { expect, test } from 'vitest';

import { settle } from '../testing/clock.ts';
import { anyTextLike } from '../testing/any-text.ts';
import { DEBIAN, findSampleFault, makeRoot, readFixture } from '../testing/fixture.ts';
import { makeFilesystemSource, makeLabels, sampleFilesystem, type StatFs } from './filesystem.ts';
import { chooseMounts, parseMounts, parseNodev } from './mounts.ts';

const ANSWER: StatFs = { bsize: 4096, blocks: 100, bfree: 30, bavail: 20, files: 10, ffree: 4 };
const NODEV = parseNodev(readFixture('proc/filesystems'));

function mountLine(device: string, mountPoint: string, type: string, ids = '36 35'): string {
  return `${ids} ${device} / ${mountPoint} rw shared:1 - ${type} /dev/x rw\n`;
}

test.for([
  // what, lines, chosen mount points
  ['a captured machine', readFixture('proc/self/mountinfo'), ['/']],
  ['a bind mount', mountLine('8:1', '/long/path', 'ext4') + mountLine('8:1', '/data', 'ext4'), ['/data']],
  ['a mount over a mount', mountLine('8:1', '/mnt', 'ext4') + mountLine('0:9', '/mnt', 'tmpfs'), []],
  [
    'a mount over a tree',
    mountLine('8:1', '/mnt/sub', 'ext4', '36 35') +
      mountLine('8:2', '/mnt/sub/deep', 'ext4', '37 36') +
      mountLine('8:3', '/mntx', 'ext4', '38 35') +
      mountLine('8:4', '/mnt', 'ext4', '39 35') +
      mountLine('8:5', '/mnt/later', 'ext4', '40 39') +
      mountLine('8:6', '/mnt/late', 'ext4', '41 35'),
    ['/mntx', '/mnt', '/mnt/later', '/mnt/late'],
  ],
  ['a mount over the root', mountLine('8:1', '/x', 'ext4') + mountLine('8:2', '/', 'ext4', '37 35'), ['/']],
  ['a container', mountLine('0:50', '/', 'overlay') + mountLine('0:51', '/var/lib/x', 'overlay'), ['/']],
  ['an image', mountLine('7:1', '/snap/core', 'squashfs'), []],
  ['several disks', mountLine('0:30', '/', 'btrfs') + mountLine('0:31', '/tank', 'zfs'), ['/', '/tank']],
  ['a server', mountLine('0:40', '/home', 'nfs4') + mountLine('0:41', '/s', 'fuse.sshfs'), ['/home', '/s']],
  ['memory', mountLine('0:22', '/run', 'tmpfs') + mountLine('0:23', '/proc', 'proc'), []],
] as const)('chooseMounts() of %s', ([, text, mountPoints]) => {
  const nodev = new Set([...NODEV, 'zfs', 'nfs4']);
  expect(chooseMounts(parseMounts(text), nodev).map(({ mountPoint }) => mountPoint)).toEqual(mountPoints);
});

test.for([
  ['36 35 98:0 / /mnt rw - ext3 /dev/root rw\n', ['/mnt', 'ext3', '/dev/root']],
  ['36 35 98:0 / /mnt rw shared:1 master:2 - ext3 /dev/root rw\n', ['/mnt', 'ext3', '/dev/root']],
  [String.raw`36 35 98:0 / /a\040b\011c\012d\134e rw - ext3 x rw` + '\n', ['/a b\tc\nd\\e', 'ext3', 'x']],
  ['36 35 98:0 / /mnt rw - ext3 /dev/root rw', null],
  ['36 35 98:0 / /mnt rw\n', null],
] as const)('parseMounts(%o) is %o', ([text, expected]) => {
  const [mount] = parseMounts(text);
  expect(mount === undefined ? null : [mount.mountPoint, mount.type, mount.source]).toEqual(expected);
});

test('parseMounts() and parseNodev() never throw', () => {
  fc.assert(fc.property(anyTextLike(readFixture('proc/self/mountinfo')), (text) => void parseMounts(text)));
  fc.assert(fc.property(anyTextLike(readFixture('proc/filesystems')), (text) => void parseNodev(text)));
});

const EXT4 = { type: 'ext4', isReadOnly: false };

test.for([
  // the mount's options, those of the filesystem, read-only
  ['rw,noatime', 'rw,errors=remount-ro', false],
  ['ro,noatime', 'rw', true],
  ['rw,noatime', 'ro,errors=remount-ro', true],
] as const)('a mount with %s of a filesystem with %s is read-only: %s', ([options, ofAll, isReadOnly]) => {
  const [mount] = parseMounts(`36 35 8:1 / /mnt ${options} shared:1 - ext4 /dev/sda1 ${ofAll}\n`);
  if (mount === undefined) throw new Error('the line is not read');
  expect(mount.isReadOnly).toBe(isReadOnly);
  const samples = sampleFilesystem(ANSWER, mount, { all: 'all', used: '', free: '', reserved: '' });
  const expected = { metric: 'system.filesystem.read_only', labels: 'all', value: isReadOnly ? 1 : 0 };
  expect(samples).toContainEqual(expected);
});

test.for([
  // what, answer, used, free, reserved, utilization, inodes used
  ['a disk', ANSWER, [70 * 4096, 20 * 4096, 10 * 4096, 0.77778, 6]],
  ['btrfs, without inodes', { ...ANSWER, files: 0, ffree: 0 }, [70 * 4096, 20 * 4096, 10 * 4096, 0.77778, undefined]],
  ['more free than there is', { ...ANSWER, bfree: 200, bavail: 200 }, [0, 100 * 4096, 0, 0, 6]],
  ['full', { ...ANSWER, bfree: 5, bavail: 0 }, [95 * 4096, 0, 5 * 4096, 1, 6]],
  ['nothing', { ...ANSWER, blocks: 0 }, [undefined, undefined, undefined, undefined, undefined]],
] as const)('sampleFilesystem() of %s', ([, answer, expected]) => {
  const samples = sampleFilesystem(answer, EXT4, { all: 'all', used: 'used', free: 'free', reserved: 'reserved' });
  const value = (metric: string, labels: string) =>
    samples.find((sample) => sample.metric === metric && sample.labels === labels)?.value;
  expect([
    value('system.filesystem.usage', 'used'),
    value('system.filesystem.usage', 'free'),
    value('system.filesystem.usage', 'reserved'),
    value('system.filesystem.utilization', 'all'),
    value('system.filesystem.inodes.usage', 'used'),
  ]).toEqual(expected);
});

test.for(['fuse', 'fuseblk', 'fuse.sshfs'])('sampleFilesystem() of %s has no sizes, only what needs none', (type) => {
  const labels = { all: '', used: '', free: '', reserved: '' };
  const samples = sampleFilesystem({ ...ANSWER, bsize: 2 ** 20 }, { ...EXT4, type }, labels);
  expect([...new Set(samples.map(({ metric }) => metric))]).toEqual([
    'system.filesystem.read_only',
    'system.filesystem.utilization',
    'system.filesystem.inodes.usage',
    'system.filesystem.inodes.utilization',
  ]);
});

test('sampleFilesystem() stays in the legal ranges whatever statfs says', () => {
  const count = fc.integer({ min: 0, max: 2 ** 50 });
  const answers = fc.record({ bsize: count, blocks: count, bfree: count, bavail: count, files: count, ffree: count });
  const labels = makeLabels({
    id: '36',
    parent: '35',
    device: '8:1',
    mountPoint: '/',
    source: '/dev/sda1',
    ...EXT4,
  });
  fc.assert(
    fc.property(answers, (answer) => {
      if (labels === null) throw new Error('a short name is too long');
      expect(sampleFilesystem(answer, EXT4, labels).map(findSampleFault).filter(Boolean)).toEqual([]);
    }),
  );
});

test('the filesystem source asks the real root of this machine', async () => {
  const source = makeFilesystemSource({ root: '/', statfs: (path) => statfs(path), statfsMsMax: 5_000 });
  const reading = await source.read();
  const samples = reading.ok ? reading.value.samples : [];
  expect(samples.some(({ labels }) => labels.includes('system.filesystem.mountpoint=/,'))).toBe(true);
  expect(samples.map(findSampleFault).filter(Boolean)).toEqual([]);
});

test('the filesystem source does not wait for a mount that hangs, nor ask it again until it answers', async () => {
  const asked: string[] = [];
  const { promise, resolve } = Promise.withResolvers<StatFs>();
  const hang = (path: string) => {
    asked.push(path);
    return promise;
  };
  const source = makeFilesystemSource({ root: DEBIAN, statfs: hang, statfsMsMax: 5 });
  const silent = { ok: true, value: { samples: [], remark: 'left out: / does not answer' } };
  expect(await source.read()).toEqual(silent);
  expect(await source.read()).toEqual(silent);
  expect(asked).toHaveLength(1);
  resolve(ANSWER);
  await settle();
  const reading = await source.read();
  expect(reading.ok && reading.value.samples).toHaveLength(8);
  expect(reading.ok && reading.value.remark).toBe(undefined);
});

/** A source over mounts `[mount point, type]`, whose calls are answered by hand. */
function makeSource(mounts: readonly (readonly [string, string])[], statfsMsMax: number) {
  const lines = mounts.map(([mountPoint, type], i) => mountLine(`8:${i}`, mountPoint, type, `${36 + i} 35`));
  const root = makeRoot({ 'proc/self/mountinfo': lines.join('') });
  const asked: string[] = [];
  const calls: ((answer: StatFs) => void)[] = [];
  const source = makeFilesystemSource({
    root,
    statfsMsMax,
    statfs: (path) => {
      asked.push(path.slice(root.length));
      return new Promise((resolve) => calls.push(resolve));
    },
  });
  return { source, asked, calls, root };
}

test('calls that hang leave a thread free, whatever the types, and another one for the disks', async () => {
  const shares = Array.from({ length: 4 }, (_, i) => [`/share${i}`, 'nfs4'] as const);
  const below = [['/share0/disk', 'ext4']] as const;
  const disks = Array.from({ length: 8 }, (_, i) => [`/disk${i}`, 'ext4'] as const);
  const { source, asked } = makeSource([...shares, ...below, ...disks], 5);
  const reading = await source.read();
  expect(asked).toEqual(['/share0', '/share1', '/disk0']);
  await source.read();
  expect(asked).toHaveLength(3);
  expect(reading.ok && reading.value.remark).toBe(
    'left out: /share0 does not answer; /share1 does not answer; /share2 does not answer; ' +
      '/share3 does not answer; /share0/disk does not answer; and 8 more',
  );
});

test('a slow mount is waited for once; then its late answers are used, until it is quick again', async () => {
  const { source, calls } = makeSource([['/', 'ext4']], 200);
  const answer = async (ffree: number) => {
    calls.shift()?.({ ...ANSWER, ffree });
    await settle();
  };
  const read = async () => {
    const reading = await source.read();
    const samples = reading.ok ? reading.value.samples : [];
    return samples.find((one) => one.metric === 'system.filesystem.inodes.usage' && one.labels.includes('=free'))
      ?.value;
  };
  expect(await read()).toBe(undefined);
  await answer(1);
  const second = read(); // uses the late answer, and asks again without waiting
  expect(await Promise.race([second, settle().then(() => 'waits')])).toBe(1);
  await answer(2); // quick this time: the next reading waits for its own
  const third = read();
  await settle();
  await answer(3);
  expect(await third).toBe(3);
  expect(calls).toHaveLength(0);
});

test('a mount that is slower than the sampling keeps its last answer', async () => {
  const { source, calls } = makeSource([['/', 'ext4']], 5);
  const read = async () => {
    const reading = await source.read();
    return reading.ok ? reading.value.samples.length : 0;
  };
  expect(await read()).toBe(0);
  calls.shift()?.(ANSWER);
  await settle();
  for (let i = 0; i < 3; i += 1) expect(await read()).toBe(8);
  expect(calls).toHaveLength(1); // asked again once, and under way since
});

test('nothing is asked below a silent root', async () => {
  const mounts = [
    ['/', 'nfs4'],
    ['/home', 'ext4'],
  ] as const;
  const { source, asked } = makeSource(mounts, 5);
  await source.read();
  expect(asked).toEqual(['/']);
});

test.for([
  [{}, 'there is no proc/self/mountinfo'],
  [{ 'proc/self/mountinfo': 'garbage\n' }, 'proc/self/mountinfo lists no mount'],
])('the filesystem source on %o says why there is nothing', async ([files, error]) => {
  const root = makeRoot(files as Record<string, string>);
  const source = makeFilesystemSource({ root, statfs: async () => ANSWER, statfsMsMax: 5 });
  expect(await source.read()).toEqual({ ok: false, error });
});

test('the filesystem source goes on when a mount cannot be asked', async () => {
  const refuse = async () => {
    throw new Error('EACCES: permission denied');
  };
  const reading = await makeFilesystemSource({ root: DEBIAN, statfs: refuse, statfsMsMax: 5_000 }).read();
  expect(reading.ok && reading.value.remark).toBe('left out: / cannot be asked: EACCES: permission denied');
});

test('makeLabels() is null for a mount point that is too long to travel, and escapes what it takes', () => {
  const mount = { id: '36', parent: '35', device: '8:1', source: '/dev/sda1', ...EXT4 };
  expect(makeLabels({ ...mount, mountPoint: `/${'x'.repeat(LABELS_LENGTH_MAX)}` })).toBe(null);
  expect(makeLabels({ ...mount, mountPoint: '/a,b=c\\d\ne' })?.all).toBe(
    'system.device=/dev/sda1,system.filesystem.mountpoint=/a\\,b\\=c\\\\d\ne,system.filesystem.type=ext4',
  );
});

test('a filesystem is as the first process sees it, not as a service that may write nowhere does', async () => {
  const line = (options: string) => `36 35 8:1 / / ${options} - ext4 /dev/sda1 rw\n`;
  const files = { 'proc/filesystems': '\text4\n', 'proc/self/mountinfo': line('ro'), 'proc/1/mountinfo': line('rw') };
  const options = { root: makeRoot(files), statfs: async () => ANSWER, statfsMsMax: 1_000 };
  const reading = await makeFilesystemSource(options).read();
  expect(reading.ok && reading.value.samples.find(({ metric }) => metric.endsWith('read_only'))?.value).toBe(0);
});

test.for([
  [
    'another one is there',
    '36 35 8:1 / / rw - ext4 /dev/a rw\n37 36 8:3 / /data rw - ext4 /dev/c rw\n',
    ['/'],
    /^left out: \/data is out/,
  ],
  ['none is there', '36 35 8:1 / / rw - ext4 /dev/a rw\n', ['/'], /^left out: \/data is out/],
  ['its root is another one', '36 35 0:9 / / rw - tmpfs none rw\n', ['/'], /^$/],
] as const)('a filesystem that the agent does not see is not asked for where %s', async ([, own, asked, remark]) => {
  const calls: string[] = [];
  const root = makeRoot({
    'proc/filesystems': 'nodev\ttmpfs\n\text4\n',
    'proc/self/mountinfo': own,
    'proc/1/mountinfo': '36 35 8:1 / / rw - ext4 /dev/a rw\n37 36 8:2 / /data rw - ext4 /dev/b rw\n',
  });
  const ask = async (path: string) => (calls.push(path.slice(root.length)), ANSWER);
  const reading = await makeFilesystemSource({ root, statfs: ask, statfsMsMax: 1_000 }).read();
  expect(calls).toEqual(asked);
  expect(reading.ok ? (reading.value.remark ?? '') : '').toMatch(remark);
});
