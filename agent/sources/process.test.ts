import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import fc from 'fast-check';
import { expect, test } from 'vitest';

import { anyTextLike } from '../testing/any-text.ts';
import { findSampleFault, makeRoot, readSamples } from '../testing/fixture.ts';
import { makeStat } from '../testing/process.ts';
import { makeProcessSource, parseBoot } from './process.ts';
import { parsePageBytes } from './process/page.ts';
import { parseDiskBytes } from './process/table.ts';

const ID = '4f5e6d7c8b9a0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796';
const UID = process.getuid?.() ?? 0;
const BOOT = { 'proc/uptime': '1000.00 900.00\n', 'proc/stat': 'cpu 1\nbtime 1700000000\nprocesses 4711\n' };
const KTHREADD = { 'proc/2/stat': makeStat({ pid: 2, name: 'kthreadd', flags: 0x208040, rss: 0 }) };
const USERS = { 'etc/passwd': `tester:x:${UID}:0::/:/bin/sh\n` };

function putFiles(root: string, files: Readonly<Record<string, string>>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(root, dirname(path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
}

function disk(read: number, write = 0): string {
  return `rchar: 9\nwchar: 9\nsyscr: 1\nsyscw: 1\nread_bytes: ${read}\nwrite_bytes: ${write}\ncancelled_write_bytes: 0\n`;
}

function openSource(root: string, hasArguments = false) {
  return makeProcessSource({ root, hasArguments, now: () => 0 });
}

test('processes of one name, owner and container are one group: their CPU, memory and disk since the last reading', async () => {
  const cgroup = `0::/system.slice/docker-${ID}.scope\n`;
  const root = makeRoot({ ...BOOT, ...USERS, ...KTHREADD });
  const workers = (utime: number, bytes: number) => ({
    'proc/10/stat': makeStat({ pid: 10, name: 'php-fpm', utime, rss: 1_000, start: 500 }),
    'proc/10/cgroup': cgroup,
    'proc/10/statm': '9999 1000 600 1 0 1 0\n',
    'proc/10/io': disk(bytes, bytes),
    'proc/11/stat': makeStat({ pid: 11, name: 'php-fpm', utime: utime * 2, rss: 900, start: 510 }),
    'proc/11/cgroup': cgroup,
    'proc/11/statm': '9999 900 600 1 0 1 0\n',
    'proc/11/io': disk(0),
  });
  putFiles(root, workers(1_000, 5_000_000));
  const source = openSource(root);
  const group = `{container.id=4f5e6d7c8b9a,process.executable.name=php-fpm,process.owner=${UID === 0 ? 'tester' : UID}}`;
  const first = await readSamples(source);
  expect(first[`process.memory.usage${group}`]).toBe((400 + 300 + 600) * 4096); // what they share counts once
  expect(first[`process.pid${group}`]).toBe(10);
  expect(first[`process.start_time${group}`]).toBe(1_700_000_005);
  expect(Object.keys(first).filter((name) => name.startsWith('process.cpu'))).toEqual([]);

  putFiles(root, { ...workers(2_000, 6_000_000), 'proc/uptime': '1010.00 900.00\n' });
  const second = await readSamples(source);
  expect(second[`process.cpu.usage${group}`]).toBe(3); // 10 s and 20 s of CPU in 10 s
  expect(second[`process.disk.rate${group}`]).toBe(200_000);
  expect(second[`process.pid${group}`]).toBe(11); // by CPU it is the other one
  expect(second[`process.count${group}`]).toBe(2);
});

test('states, threads and forks are counted', async () => {
  const root = makeRoot({
    ...BOOT,
    'proc/1/stat': makeStat({ pid: 1, name: 'init', threads: 3 }),
    'proc/2/stat': makeStat({ pid: 2, name: 'a', state: 'R' }),
    'proc/3/stat': makeStat({ pid: 3, name: 'b', state: 'D' }),
    'proc/4/stat': makeStat({ pid: 4, name: 'c', state: 'Z' }),
    'proc/5/stat': 'torn',
    'proc/6/other': '',
    'proc/sys/stat': makeStat({ pid: 7, name: 'no process' }),
  });
  expect(await readSamples(openSource(root))).toMatchObject({
    'system.process.count{process.state=running}': 1,
    'system.process.count{process.state=sleeping}': 1,
    'system.process.count{process.state=blocked}': 1,
    'system.process.count{process.state=stopped}': 0,
    'system.process.count{process.state=defunct}': 1,
    'system.thread.count{}': 6,
    'system.process.created{}': 4711,
  });
});

test.for([
  // what stands at the second reading, 10 s later: start, CPU ticks → cores
  ['went on', 500, 1_500, 0.5],
  ['is another one with its pid, begun before and not seen', 600, 5_000, undefined],
  ['is another one with its pid, begun since', 100_400, 200, 0.2],
  ['is begun in the time to come, as in a container with an uptime of its own', 900_000, 5_000, undefined],
  ['lost CPU time', 500, 10, undefined],
] as const)('the CPU of a process that %s', async ([, start, utime, cores]) => {
  const root = makeRoot({
    ...BOOT,
    ...USERS,
    'proc/9/stat': makeStat({ pid: 9, name: 'a', start: 500, utime: 1_000 }),
  });
  const source = openSource(root);
  await source.read();
  putFiles(root, { 'proc/uptime': '1010.00 9.00\n', 'proc/9/stat': makeStat({ pid: 9, name: 'a', start, utime }) });
  const key = 'process.cpu.usage{process.executable.name=a,process.owner=tester}';
  expect((await readSamples(source))[key]).toBe(cores);
});

test('the disk I/O of a process that was idle counts from when it is busy', async () => {
  const key = 'process.disk.rate{process.executable.name=a,process.owner=tester}';
  const root = makeRoot({ ...BOOT, ...USERS });
  const source = openSource(root);
  const rates: (number | undefined)[] = [];
  // A process that does nothing for a minute is not looked at; whoever is busy is, and for a minute after.
  for (const [round, utime] of [0, 0, 0, 0, 5, 10, 10].entries()) {
    putFiles(root, {
      'proc/uptime': `${1_000 + round * 10}.00 9.00\n`,
      'proc/9/stat': makeStat({ pid: 9, name: 'a', utime }),
      'proc/9/io': disk(round * 100_000),
    });
    rates.push((await readSamples(source))[key]);
  }
  expect(rates).toEqual([undefined, undefined, undefined, undefined, undefined, 10_000, 10_000]);
});

test('a process that executes another program, or changes its owner, goes to another group', async () => {
  const root = makeRoot({ ...BOOT, ...USERS, 'proc/9/stat': makeStat({ pid: 9, name: 'sh', rss: 1_000 }) });
  const source = openSource(root);
  await source.read();
  putFiles(root, { 'proc/9/stat': makeStat({ pid: 9, name: 'java', rss: 1_000 }), 'proc/uptime': '1010.00 1.00\n' });
  const names = Object.keys(await readSamples(source)).filter((name) => name.startsWith('process.memory'));
  expect(names).toEqual(['process.memory.usage{process.executable.name=java,process.owner=tester}']);
});

test('arguments are among the labels only when they are asked for', async () => {
  const files = {
    'proc/9/stat': makeStat({ pid: 9, name: 'java', rss: 1_000 }),
    'proc/9/cmdline': 'java\0-jar\0b.jar\0',
  };
  const root = makeRoot({ ...BOOT, ...USERS, ...files });
  expect(Object.keys(await readSamples(openSource(root))).join()).not.toContain('b.jar');
  expect(await readSamples(openSource(root, true))).toHaveProperty([
    'process.memory.usage{process.command_line=java -jar b.jar,process.executable.name=java,process.owner=tester}',
  ]);
});

test('programs that call themselves anew each time make no series without end', async () => {
  const root = makeRoot({ ...BOOT, ...USERS });
  const source = openSource(root);
  const seen = new Set<string>();
  let remark: string | undefined;
  for (let round = 0; round < 30; round += 1) {
    rmSync(join(root, 'proc'), { recursive: true });
    putFiles(root, { ...BOOT, 'proc/uptime': `${1_000 + round * 10}.00 1.00\n` });
    for (let i = 0; i < 12; i += 1) {
      const name = `x${round}-${i}`;
      putFiles(root, {
        [`proc/${100 + round * 12 + i}/stat`]: makeStat({
          pid: 100 + round * 12 + i,
          name,
          start: round * 12 + i,
          rss: 1_000 + i,
        }),
      });
    }
    const reading = await source.read();
    if (!reading.ok) throw new Error(reading.error);
    remark = reading.value.remark;
    for (const { metric, labels } of reading.value.samples) if (metric.startsWith('process.')) seen.add(labels);
  }
  expect(seen.size).toBe(201);
  expect(seen).toContain('process.executable.name=(others)');
  expect(remark).toContain('more than 200');
});

test('files are kept open while their processes live, and no longer than the source', async () => {
  const listOpen = () =>
    readdirSync('/proc/self/fd').flatMap((fd) => {
      try {
        return /^\/proc\/(\d+)\/stat$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1] ?? [];
      } catch {
        return []; // that of the list itself
      }
    });
  const source = openSource('/');
  const child = spawn('sleep', ['60'], { stdio: 'ignore' });
  await source.read();
  expect(listOpen()).toContain(String(child.pid));
  child.kill();
  await once(child, 'exit');
  await source.read();
  expect(listOpen()).toContain(String(process.pid));
  expect(listOpen()).not.toContain(String(child.pid));
  await source.close?.();
  expect(listOpen()).toEqual([]);
});

test('the processes of this machine: every sample is legal, and a busy one is named', async () => {
  const busy = spawn('sh', ['-c', 'while :; do :; done'], { stdio: 'ignore' });
  try {
    const source = openSource('/');
    let faults: readonly string[] = [];
    await expect
      .poll(
        async () => {
          const reading = await source.read();
          if (!reading.ok) throw new Error(reading.error);
          faults = reading.value.samples.flatMap((sample) => findSampleFault(sample) ?? []);
          return reading.value.samples.map(({ metric, labels }) => `${metric} ${labels}`).join('\n');
        },
        { timeout: 20_000, interval: 500 },
      )
      .toMatch(/process\.cpu\.usage .*process\.executable\.name=(sh|dash|bash),process\.owner=/);
    expect(faults).toEqual([]);
  } finally {
    busy.kill('SIGKILL');
  }
});

test.for([
  [{ ...BOOT, ...KTHREADD, 'proc/2/io': disk(0) }, []],
  [{ ...BOOT, 'proc/1/stat': makeStat({ pid: 1, name: 'node' }) }, ['only the processes of this container are seen']],
  [
    { ...BOOT, ...KTHREADD, 'proc/2/stat': '', 'proc/1/stat': makeStat({ pid: 1, name: 'init' }), ns: '4026531836' },
    ['the processes of others are hidden from the agent'],
  ],
] as const)('diagnose() of %o says %o', async ([files, whats]) => {
  const root = makeRoot(files);
  if ('ns' in files) {
    mkdirSync(join(root, 'proc/self/ns'), { recursive: true });
    symlinkSync(`pid:[${files.ns}]`, join(root, 'proc/self/ns/pid'));
  }
  const source = openSource(root);
  await source.read();
  expect((await source.diagnose?.())?.map(({ what }) => what)).toEqual(whats);
});

test.for([{}, { 'proc/uptime': '' }, { 'proc/uptime': 'x' }, { 'proc/uptime': '1.00 1.00\n' }])(
  'a machine with %o has no reading, and a reason',
  async (files) => {
    expect((await openSource(makeRoot(files)).read()).ok).toBe(false);
  },
);

test('whatever is in the files of a process, the reading is legal', async () => {
  const text = anyTextLike(makeStat({ pid: 9, name: 'a', utime: 5, rss: 1_000 }));
  const root = makeRoot({ ...BOOT });
  await fc.assert(
    fc.asyncProperty(text, text, text, text, async (...texts) => {
      const source = openSource(root, true);
      const names = ['proc/9/stat', 'proc/9/cgroup', 'proc/9/io', 'proc/9/statm', 'proc/9/cmdline', 'etc/passwd'];
      putFiles(root, Object.fromEntries(names.map((name, i) => [name, texts[i % texts.length] ?? ''])));
      for (const uptime of ['1000.00 1.00\n', '1010.00 1.00\n']) {
        putFiles(root, { 'proc/uptime': uptime });
        const reading = await source.read();
        const samples = reading.ok ? reading.value.samples : [];
        expect(samples.flatMap((sample) => findSampleFault(sample) ?? [])).toEqual([]);
      }
    }),
    { numRuns: 50 },
  );
});

test.for([
  ['btime 5\nprocesses 7\n', { startSeconds: 5, created: 7 }],
  ['btime 5\nprocesses 7', { startSeconds: 5, created: null }],
  ['', { startSeconds: null, created: null }],
] as const)('parseBoot(%o)', ([text, boot]) => {
  expect(parseBoot(text)).toEqual(boot);
});

test.for([
  [disk(3, 4), 7],
  ['read_bytes: 3\n', null],
  ['read_bytes: 3\nwrite_bytes: 4', null],
] as const)('parseDiskBytes(%o) is %s', ([text, bytes]) => {
  expect(parseDiskBytes(text)).toBe(bytes);
});

test('parsePageBytes() finds the size of a page among what the kernel tells a program', () => {
  const auxv = Buffer.alloc(48);
  for (const [i, value] of [33n, 1n, 6n, 65_536n, 0n, 0n].entries()) auxv.writeBigUInt64LE(value, i * 8);
  expect(parsePageBytes(auxv)).toBe(65_536);
  expect(parsePageBytes(auxv.subarray(0, 20))).toBe(4_096);
});
