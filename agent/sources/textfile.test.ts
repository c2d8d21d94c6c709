import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdirSync, rmSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { readDescriptions } from '@muster/proto/custom';
import fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';

import { makeIntake } from '../custom/intake.ts';
import { makeSeriesPool } from '../custom/series.ts';
import { anyTextLike } from '../testing/any-text.ts';
import { findSampleFault, makeRoot, readSamples } from '../testing/fixture.ts';
import { FILES_MAX, makeTextfileSource } from './textfile.ts';
import { parseExposition } from './textfile/parse.ts';
import { toPoints } from './textfile/points.ts';
import { ALL_BYTES_MAX, FILE_BYTES_MAX } from './textfile/read-file.ts';

// Written after the Prometheus documentation, Exposition formats, and OpenMetrics 1.0.
const EXPOSITION = `# HELP http_requests_total The total number of HTTP requests.
# TYPE http_requests_total counter
http_requests_total{method="post",code="200"} 1027
http_requests_total{method="post",code="400",}    3

# Escaping in label values:
path_info{path="C:\\\\DIR\\\\",error="Cannot find \\"x\\", sorry"} 1
# UNIT backup_age seconds
# TYPE backup_age gauge
backup_age 1.458255915e9
# TYPE http_request_duration_seconds histogram
http_request_duration_seconds_bucket{le="0.1"} 30
http_request_duration_seconds_bucket{le="0.5"} 90
http_request_duration_seconds_bucket{le="+Inf"} 100
http_request_duration_seconds_sum 53.4
http_request_duration_seconds_count 100
# TYPE rpc_bytes summary
rpc_bytes{quantile="0.5"} 4773
rpc_bytes{quantile="0.99"} NaN
rpc_bytes_sum 1.7e7
rpc_bytes_count 2693
# TYPE jobs counter
jobs_total 7 # {trace_id="KOO5S4vxi0o"} 0.67
jobs_created 1520430000.123
hit_ratio 0.5
runs_total 4
# EOF
`;

function makeSource(files: Readonly<Record<string, string>>, limit?: number) {
  const root = makeRoot(Object.fromEntries(Object.entries(files).map(([name, text]) => [`t/${name}`, text])));
  onTestFinished(() => rmSync(root, { recursive: true }));
  const clock = { nowMs: Date.now() };
  const source = makeTextfileSource({
    settings: { directory: '/t', ...(limit === undefined ? {} : { limit }) },
    pool: makeSeriesPool(),
    root,
    now: () => clock.nowMs,
  });
  const remark = async () => {
    const reading = await source.read();
    return reading.ok ? (reading.value.remark ?? '') : reading.error;
  };
  const customs = async () => {
    const samples = Object.entries(await readSamples(source));
    return Object.fromEntries(samples.filter(([name]) => !name.startsWith('muster.')));
  };
  return { source, directory: join(root, 't'), clock, remark, customs };
}

test('a file becomes counters, gauges, counts, sums and quantiles, with the units that it or its names say', async () => {
  const { source, customs, remark, directory } = makeSource({ 'a.prom': EXPOSITION });
  expect(await customs()).toEqual({
    'http_requests_total{code=200,method=post}': 1027,
    'http_requests_total{code=400,method=post}': 3,
    [String.raw`path_info{error=Cannot find "x"\, sorry,path=C:\\DIR\\}`]: 1,
    'backup_age{}': 1.458255915e9,
    'http_request_duration_seconds.count{}': 100,
    'http_request_duration_seconds.sum{}': 53.4,
    'rpc_bytes.count{}': 2693,
    'rpc_bytes.sum{}': 1.7e7,
    'rpc_bytes{quantile=0.5}': 4773,
    'jobs_total{}': 7,
    'hit_ratio{}': 0.5,
    'runs_total{}': 4,
  });
  expect(await remark()).toBe('');
  // A tenth of a second is where 30 of 100 lay; now 100 more came up to half a second.
  writeFileSync(
    join(directory, 'a.prom'),
    EXPOSITION.replace('"0.5"} 90', '"0.5"} 190')
      .replace('"+Inf"} 100', '"+Inf"} 200')
      .replace('_count 100', '_count 200'),
  );
  const reading = await source.read();
  const found = new Map(
    (reading.ok ? reading.value.samples : []).map(({ metric, labels, value, about }) => [
      `${metric}{${labels}}`,
      [value, about],
    ]),
  );
  expect(found.get('http_request_duration_seconds{quantile=0.5}')).toEqual([0.3, { kind: 'gauge', unit: 's' }]);
  expect(found.get('http_requests_total{code=400,method=post}')).toEqual([3, { kind: 'counter', unit: '' }]);
  expect(found.get('backup_age{}')?.[1]).toEqual({ kind: 'gauge', unit: 's' });
  expect(found.get('rpc_bytes.sum{}')?.[1]).toEqual({ kind: 'counter', unit: 'By' });
  expect(found.get('hit_ratio{}')?.[1]).toEqual({ kind: 'gauge', unit: '1' });
  expect(found.get('runs_total{}')?.[1]).toEqual({ kind: 'counter', unit: '' });
});

test('how old a file is, is told', async () => {
  const { source, clock, directory } = makeSource({ 'a.prom': 'a 1\n' });
  utimesSync(join(directory, 'a.prom'), 1000, 1000);
  clock.nowMs = 1_060_000;
  const samples = await readSamples(source);
  expect(samples['muster.agent.textfile.age{muster.file=a.prom}']).toBe(60);
  const reading = await source.read();
  const own = reading.ok ? reading.value.samples.filter(({ metric }) => metric.startsWith('muster.')) : [];
  expect(own.flatMap((sample) => findSampleFault(sample) ?? [])).toEqual([]);
});

test.for([
  ['a 1\nb 2', { 'a{}': 1 }, 'a.prom:2: the last line has no end'],
  ['a 1\n# EOF\nb 2\n', { 'a{}': 1 }, ''],
  ['a 1 1395066363000\nb 2\n', { 'b{}': 2 }, 'a.prom:1: it has a time of its own'],
  ['a 1\na 2\n', { 'a{}': 1 }, 'a.prom:2: the series is there twice'],
  ['a one\n', {}, 'a.prom:1: the value is no number'],
  ['a{b="c} 1\n', {}, 'a.prom:1: the labels are not'],
  ['a{b=c} 1\n', {}, 'a.prom:1: the labels are not'],
  ['1a 1\n', {}, 'a.prom:1: it does not begin with'],
  ['a 1 2 3\n', {}, 'a.prom:1: something follows'],
  ['a NaN\n', {}, ''],
  ['a +Inf\n', {}, 'a.prom:1: it is no number that'],
  ['# TYPE a counter\na -1\n', {}, 'a.prom:2: it is no number that'],
  ['a{quantile="1"} 1\n', {}, 'a.prom:1: labels are too many'],
  ['a{__proto__="1"} 1\n', {}, 'a.prom:1: labels are too many'],
  ['a{b="\u001b[2J"} 1\n', {}, 'a.prom:1: labels are too many'],
  ['_a 1\n', {}, 'a.prom:1: the name has no letter'],
  ['system 1\n', {}, "a.prom:1: the name is one of Muster's"],
  ['# TYPE h histogram\nh_bucket{le="1"} 5\nh_bucket{le="+Inf"} 3\n', {}, 'a.prom:2: it is no number that'],
  ['# TYPE s summary\ns_sum 1\ns_count -5\n', {}, 'a.prom:2: it is no number that'],
  ['a 1\r\nb{c="d"}\t2\r\n', { 'a{}': 1, 'b{c=d}': 2 }, ''],
  ['', {}, ''],
] as const)('%j gives %j and says %s', async ([text, expected, said]) => {
  const { customs, remark } = makeSource({ 'a.prom': text });
  expect(await customs()).toEqual(expected);
  const words = await remark();
  expect(said === '' ? words : words.slice(0, said.length)).toBe(said);
});

test('a series that two files tell is taken from the first of them', async () => {
  const { customs, remark } = makeSource({ 'b.prom': 'a 2\n', 'a.prom': 'a 1\n' });
  expect(await customs()).toEqual({ 'a{}': 1 });
  expect(await remark()).toContain('b.prom:1: the series is there twice');
});

test('a file is read again when it changes, and what is gone from it is told no more', async () => {
  const { customs, directory } = makeSource({ 'a.prom': 'a 1\nb 1\n' });
  await customs();
  writeFileSync(join(directory, 'a.prom'), 'a 22\n');
  expect(await customs()).toEqual({ 'a{}': 22 });
  rmSync(join(directory, 'a.prom'));
  expect(await customs()).toEqual({});
});

test('whatever lies in the directory is told, and stops nothing', async () => {
  const { customs, source, directory } = makeSource({
    'good.prom': 'a 1\n',
    'not.txt': 'b 1\n',
    '.hidden.prom': 'c 1\n',
  });
  writeFileSync(join(directory, 'latin.prom'), Buffer.from([0x61, 0xe4, 0x20, 0x31, 0x0a]));
  writeFileSync(join(directory, 'large.prom'), '');
  truncateSync(join(directory, 'large.prom'), 100 * FILE_BYTES_MAX);
  symlinkSync('/etc/passwd', join(directory, 'link.prom'));
  mkdirSync(join(directory, 'sub.prom'));
  execFileSync('mkfifo', [join(directory, 'pipe.prom')]);
  writeFileSync(join(directory, 'odd name.prom'), 'd 1\n');
  expect(await customs()).toEqual({ 'a{}': 1 });
  const findings = (await source.diagnose?.())?.map(({ what }) => what) ?? [];
  expect(findings.slice(1)).toEqual([
    `large.prom: it has ${100 * FILE_BYTES_MAX} bytes, more than ${FILE_BYTES_MAX}`,
    'latin.prom: it is not UTF-8',
    'link.prom: it is a symbolic link: put the file itself here',
    'pipe.prom: it is no file',
    'sub.prom: it is no file',
    `files not looked at: 1, beyond ${FILES_MAX} or of a name that is no plain word`,
  ]);
});

test('of all files together no more is read than there is room for', async () => {
  const long = (name: string) => `${name} 1\n${'#'.repeat(FILE_BYTES_MAX - 100)}\n`;
  const { customs, remark, directory } = makeSource({ 'a.prom': long('a'), 'b.prom': long('b'), 'c.prom': long('c') });
  expect(await customs()).toEqual({ 'a{}': 1, 'b{}': 1 });
  expect(await remark()).toBe(`c.prom: with it all files have more than ${ALL_BYTES_MAX} bytes: write fewer`);
  rmSync(join(directory, 'a.prom'));
  expect(await customs()).toEqual({ 'b{}': 1, 'c{}': 1 });
});

test('there need not be a directory; one that is none is told', async () => {
  const { source, directory, remark, customs } = makeSource({ 'a.prom': 'a 1\n' });
  rmSync(directory, { recursive: true });
  expect(await source.read()).toEqual({ ok: true, value: { samples: [], events: [] } });
  expect(await source.diagnose?.()).toMatchObject([
    { what: expect.stringContaining('which is not there'), next: expect.stringContaining('install -d -m 755') },
  ]);
  writeFileSync(directory, '');
  expect(await remark()).toContain('make it a directory');
  await expect(customs()).rejects.toThrow('make it a directory');
});

test('what is beyond the limit of series is counted with every reading', async () => {
  const { source, customs } = makeSource({ 'a.prom': 'a 1\nb 1\nc 1\n' }, 1);
  expect(await customs()).toEqual({ 'a{}': 1 });
  expect((await readSamples(source))['muster.agent.series.dropped{muster.source=textfile}']).toBe(4);
});

test('a file that grows while it is read gives whole lines only', async () => {
  const { customs, directory } = makeSource({ 'a.prom': 'a 1\nb 12' });
  expect(await customs()).toEqual({ 'a{}': 1 });
  appendFileSync(join(directory, 'a.prom'), '3\n');
  expect(await customs()).toEqual({ 'a{}': 1, 'b{}': 123 });
});

test('whatever a file holds, reading never throws, and what is told can travel', () => {
  fc.assert(
    fc.property(anyTextLike(EXPOSITION), (text) => {
      const intake = makeIntake(makeSeriesPool().open('textfile', 20));
      intake.take(toPoints(parseExposition(text).families), 0);
      for (const { metric, value, about } of intake.read(0)) {
        expect(Number.isFinite(value)).toBe(true);
        expect(readDescriptions([[metric, about?.kind, about?.unit]])).toMatchObject({ ok: true });
      }
    }),
  );
});
