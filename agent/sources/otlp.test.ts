import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';

import { readDescriptions } from '@muster/proto/custom';
import fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';

import { makeIntake } from '../custom/intake.ts';
import { makeSeriesPool } from '../custom/series.ts';
import type { Source } from '../source.ts';
import { findFreePort } from '../testing/free-port.ts';
import { findSampleFault, readSamples } from '../testing/fixture.ts';
import { openOtlpSource } from './otlp.ts';
import { BODY_BYTES_MAX, decodeBody } from './otlp/answer.ts';
import { parseExport } from './otlp/export.ts';
import { findJsonFault } from './otlp/json-fault.ts';
import { MESSAGE } from '../testing/otlp-message.ts';

type Json = Readonly<Record<string, unknown>>;

/** An export in its JSON form, with one resource and the metrics given. */
function makeExport(...metrics: readonly Json[]): Json {
  const attributes = [
    { key: 'service.name', value: { stringValue: 'shop' } },
    { key: 'process.pid', value: { intValue: '7' } },
  ];
  return { resourceMetrics: [{ resource: { attributes }, scopeMetrics: [{ scope: { name: 'x' }, metrics }] }] };
}

function sum(name: string, value: number, more: Json = {}): Json {
  const dataPoints = [{ asInt: String(value), timeUnixNano: '1', ...(more['point'] as Json | undefined) }];
  return { name, unit: '{request}', sum: { dataPoints, aggregationTemporality: 2, isMonotonic: true, ...more } };
}

function gauge(name: string, value: unknown, attributes: readonly Json[] = []): Json {
  return { name, unit: 'By', gauge: { dataPoints: [{ asDouble: value, attributes }] } };
}

function makeSmall(limit?: number) {
  const keeper = makeSeriesPool().open('otlp', limit);
  const intake = makeIntake(keeper);
  return {
    /** Gives why points were refused. */
    take: (...metrics: readonly Json[]) => {
      const points = parseExport(makeExport(...metrics));
      if (!points.ok) throw new Error(points.error);
      return intake.take(points.value, 0).map(({ refusal }) => refusal);
    },
    read: () => Object.fromEntries(intake.read(0).map(({ metric, labels, value }) => [`${metric}{${labels}}`, value])),
    samples: () => intake.read(0),
  };
}

const SHOP = 'service.name=shop';

test('sums are counters or gauges, in all or since the export before; each value is told once', () => {
  const { take, read, samples } = makeSmall();
  const up = { isMonotonic: false };
  const delta = { aggregationTemporality: 1 };
  const all = [sum('all', 10), sum('since', 3, delta), sum('open', 4, up), sum('opened', -2, { ...up, ...delta })];
  expect(take(...all)).toEqual([]);
  take(...all);
  expect(read()).toEqual({
    [`all{${SHOP}}`]: 10,
    [`since{${SHOP}}`]: 0, // it begins
    [`open{${SHOP}}`]: 4,
    [`opened{${SHOP}}`]: -4,
  });
  expect(read()).toEqual({ [`since{${SHOP}}`]: 6 });
  expect(read()).toEqual({});
  take(...all);
  expect(samples().map(({ metric, about }) => [metric, about?.kind, about?.unit])).toEqual([
    ['all', 'counter', '{request}'],
    ['since', 'counter', '{request}'],
    ['open', 'gauge', '{request}'],
    ['opened', 'gauge', '{request}'],
  ]);
});

test('attributes are labels; those of a point count for more than those of its resource, of which few are taken', () => {
  const { take, read } = makeSmall();
  const attribute = (key: string, value: Json) => ({ key, value });
  take(
    gauge('a', 1, [attribute('code', { intValue: '-200' }), attribute('ok', { boolValue: true })]),
    gauge('b', 2, [attribute('service.name', { stringValue: 'other' }), attribute('ratio', { doubleValue: 0.5 })]),
  );
  expect(read()).toEqual({ [`a{code=-200,ok=true,${SHOP}}`]: 1, 'b{ratio=0.5,service.name=other}': 2 });
});

test('a histogram is its count, its sum and quantiles of what came since the export before', () => {
  const { take, read } = makeSmall();
  const point = (bucketCounts: readonly number[]) => ({
    bucketCounts,
    explicitBounds: [0.1, 1],
    count: bucketCounts.reduce((all, one) => all + one, 0),
    sum: 12,
    max: 99,
  });
  const histogram = (counts: readonly number[], aggregationTemporality: number) => ({
    name: 'http.server.request.duration',
    unit: 's',
    histogram: { dataPoints: [point(counts)], aggregationTemporality },
  });
  take(histogram([1000, 0, 0], 2));
  expect(read()).toEqual({
    [`http.server.request.duration.count{${SHOP}}`]: 1000,
    [`http.server.request.duration.sum{${SHOP}}`]: 12,
  });
  take(histogram([1000, 100, 0], 2));
  const found = read();
  expect(found[`http.server.request.duration{quantile=0.5,${SHOP}}`]).toBeCloseTo(0.55);
  expect(found[`http.server.request.duration{quantile=1,${SHOP}}`]).toBe(1);
  const { take: takeDelta, read: readDelta } = makeSmall();
  takeDelta(histogram([10, 10, 0], 1));
  takeDelta(histogram([10, 10, 0], 1));
  expect(readDelta()).toMatchObject({
    [`http.server.request.duration.count{${SHOP}}`]: 0,
    [`http.server.request.duration{quantile=0.5,${SHOP}}`]: 0.1,
  });
  expect(readDelta()).toEqual({
    [`http.server.request.duration.count{${SHOP}}`]: 40,
    [`http.server.request.duration.sum{${SHOP}}`]: 24,
  });
});

test('an exponential histogram gives quantiles between the bounds of its buckets, below 0 too', () => {
  const { take, read } = makeSmall();
  const dataPoints = [
    {
      count: 8,
      sum: 1,
      scale: 0,
      zeroCount: 2,
      positive: { offset: 1, bucketCounts: ['1', '2'] }, // (2, 4], (4, 8]
      negative: { offset: 0, bucketCounts: ['1', '2'] }, // [-2, -1), [-4, -2)
    },
  ];
  expect(take({ name: 'e', exponentialHistogram: { dataPoints, aggregationTemporality: 1 } })).toEqual([]);
  const found = read();
  expect(found[`e{quantile=0.5,${SHOP}}`]).toBeLessThanOrEqual(0);
  expect(found[`e{quantile=0.5,${SHOP}}`]).toBeGreaterThanOrEqual(-1);
  expect(found[`e{quantile=0.9,${SHOP}}`]).toBeGreaterThan(4);
  expect(found[`e{quantile=1,${SHOP}}`]).toBe(8);
});

test('a summary keeps its own quantiles', () => {
  const { take, read } = makeSmall();
  const quantileValues = [
    { quantile: 0.5, value: 3 },
    { quantile: 0.99, value: 'NaN' },
  ];
  take({ name: 's', summary: { dataPoints: [{ count: '4', sum: 9, quantileValues }] } });
  expect(read()).toEqual({ [`s.count{${SHOP}}`]: 4, [`s.sum{${SHOP}}`]: 9, [`s{quantile=0.5,${SHOP}}`]: 3 });
});

test.for([
  [[gauge('system.memory.usage', 1)], ['reserved']],
  [[gauge('process.cpu.time', 1)], ['reserved']],
  [[gauge('__proto__', 1)], ['name']],
  [[gauge('', 1)], ['name']],
  [[gauge('a', 'NaN')], ['value']],
  [[sum('a', -1)], ['value']],
  [[sum('a', 1, { aggregationTemporality: 0 })], ['malformed']],
  [[gauge('a', 1, [{ key: 'x', value: { arrayValue: { values: [] } } }])], ['labels']],
  [[gauge('a', 1), gauge('a', 2)], ['taken']],
  [[gauge('a', 1), sum('a', 2)], ['kind']],
  [[gauge('a', 1), gauge('b', 2)], ['limit']],
  [
    [{ name: 'a', histogram: { dataPoints: [{ bucketCounts: [1], explicitBounds: [1] }], aggregationTemporality: 1 } }],
    ['malformed'],
  ],
  [[{ name: 'a', gauge: { dataPoints: [{ flags: 1 }] } }], []],
] as const)('%j is refused as %j', ([metrics, expected]) => {
  expect(makeSmall(1).take(...metrics)).toEqual(expected);
});

test('whatever an export holds, it never throws, and what is told can travel', () => {
  const good = makeExport(sum('a', 1), gauge('b', 2), {
    name: 'h',
    histogram: { dataPoints: [{ bucketCounts: [1, 2], explicitBounds: [1], count: 3 }], aggregationTemporality: 2 },
  });
  const text = JSON.stringify(good);
  const odd = fc.oneof(fc.json(), fc.constantFrom('null', '[]', '{}', '"x"', '-1', '1e999', '"1"'));
  fc.assert(
    fc.property(fc.nat(text.length), fc.nat(30), odd, (at, length, piece) => {
      const body = Buffer.from(text.slice(0, at) + piece + text.slice(at + length));
      const points = decodeBody(body, 'json', false);
      if (!points.ok) return;
      const intake = makeIntake(makeSeriesPool().open('otlp', 10));
      intake.take(points.value, 0);
      for (const { metric, about, value } of intake.read(0)) {
        expect(Number.isFinite(value)).toBe(true);
        expect(readDescriptions([[metric, about?.kind, about?.unit]])).toMatchObject({ ok: true });
      }
    }),
  );
  fc.assert(fc.property(fc.anything(), (value) => void parseExport(value)));
});

test.for([
  ['{"a":[1,2,"[[[[{{{{\\"[["]}', null],
  ['['.repeat(33), 'it is nested deeper than 32'],
  [`[${'{},'.repeat(300_000)}]`, 'it holds more than 400000 values'],
] as const)('findJsonFault(%.20s) is %s', ([text, expected]) => {
  expect(findJsonFault(Buffer.from(text))).toBe(expected);
});

async function openSource(): Promise<{ readonly source: Source; readonly port: number }> {
  const port = await findFreePort('tcp');
  const source = await openOtlpSource({ settings: { port }, pool: makeSeriesPool(), root: '/', now: Date.now });
  onTestFinished(() => source.close?.());
  return { source, port };
}

type Sending = {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer;
};

async function post(
  port: number,
  { method = 'POST', path = '/v1/metrics', headers = {}, body = Buffer.alloc(0) }: Sending,
) {
  const sent = request({
    port,
    host: '127.0.0.1',
    method,
    path,
    headers: { 'content-type': 'application/json', ...headers },
  });
  sent.end(body);
  const [response] = await once(sent, 'response');
  const chunks: Buffer[] = [];
  for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
  return { status: Number(response.statusCode), headers: response.headers, body: Buffer.concat(chunks) };
}

const GOOD = Buffer.from(JSON.stringify(makeExport(sum('requests', 5))));

test('exports arrive as JSON and as protobuf, plain and gzipped', async () => {
  const { source, port } = await openSource();
  expect((await post(port, { body: GOOD })).body.toString()).toBe('{}');
  expect(await readSamples(source)).toMatchObject({ [`requests{${SHOP}}`]: 5 });
  const headers = { 'content-type': 'application/x-protobuf', 'content-encoding': 'gzip' };
  const answer = await post(port, { headers, body: gzipSync(MESSAGE) });
  expect([answer.status, answer.headers['content-type'], answer.body.length]).toEqual([
    200,
    'application/x-protobuf',
    0,
  ]);
  expect(await readSamples(source)).toMatchObject({
    [`requests{${SHOP}}`]: 5,
    [`e.count{${SHOP}}`]: expect.any(Number),
  });
  const reading = await source.read();
  const own = reading.ok ? reading.value.samples.filter(({ metric }) => metric.startsWith('muster.')) : [];
  expect(own.flatMap((sample) => findSampleFault(sample) ?? [])).toEqual([]);
  expect(own).toContainEqual({
    metric: 'muster.agent.otlp.requests',
    labels: 'http.response.status_code=200',
    value: 2,
  });
});

test('what is left out of an export is told in the answer', async () => {
  const { port } = await openSource();
  const body = Buffer.from(JSON.stringify(makeExport(gauge('system.x', 1), gauge('systemd.x', 1), gauge('mine', 1))));
  const answer = await post(port, { body });
  expect([answer.status, JSON.parse(answer.body.toString())]).toEqual([
    200,
    {
      partialSuccess: {
        rejectedDataPoints: '2',
        errorMessage: expect.stringContaining("2: the name is one of Muster's own"),
      },
    },
  ]);
});

test('two processes that export one series by turns are told so', async () => {
  const { source, port } = await openSource();
  const tell = async (startTimeUnixNano: string, asInt: number) => {
    const point = { startTimeUnixNano, timeUnixNano: '1760000000000000000', asInt };
    const body = Buffer.from(JSON.stringify(makeExport(sum('requests', asInt, { point }))));
    return (await post(port, { body })).body.toString();
  };
  const [first, second] = ['1750000000000000000', '1750000001000000000'];
  expect([await tell(first, 1000), await tell(second, 500), await tell(first, 1010)]).toEqual(['{}', '{}', '{}']);
  expect(await tell(second, 505)).toContain('1: another process tells the same series: set service.instance.id');
  expect(await readSamples(source)).toMatchObject({ [`requests{${SHOP}}`]: 1010 });
});

test.for([
  [{ startTimeUnixNano: '7', timeUnixNano: '9' }, 7],
  [{ startTimeUnixNano: '9', timeUnixNano: '9' }, null],
  [{ startTimeUnixNano: '0', timeUnixNano: '9' }, null],
  [{ timeUnixNano: '9' }, null],
] as const)('the beginning of a sum with %j is %s; others have none', ([point, startNs]) => {
  const delta = { aggregationTemporality: 1, point };
  const points = parseExport(makeExport(sum('a', 1, { point }), sum('b', 1, delta), gauge('c', 1)));
  expect(points.ok ? points.value.map(({ origin }) => origin) : []).toEqual([{ startNs }, undefined, undefined]);
  const binary = decodeBody(MESSAGE, 'protobuf', false);
  expect(binary.ok ? binary.value.map(({ origin }) => origin) : []).toEqual([{ startNs: 256 }, undefined]);
});

const PROTOBUF = { 'content-type': 'application/x-protobuf' };
test.for([
  [{ headers: { origin: 'https://evil.example' }, body: GOOD }, 403, 'not from web pages'],
  [{ headers: { host: 'evil.example:4318' }, body: GOOD }, 403, 'must name this machine'],
  [{ headers: { 'content-type': 'text/plain' }, body: GOOD }, 415, 'application/json or'],
  [{ headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: GOOD }, 415, 'application/json or'],
  [{ headers: { 'content-encoding': 'zstd' }, body: GOOD }, 415, 'gzip, or none'],
  [{ headers: { 'content-encoding': 'gzip' }, body: GOOD }, 400, 'not gzip'],
  [{ headers: { 'content-encoding': 'gzip' }, body: gzipSync(Buffer.alloc(50_000_000)) }, 413, 'inflate to'],
  [{ body: Buffer.alloc(BODY_BYTES_MAX + 1, 'x') }, 413, 'may be 1048576 bytes'],
  [
    { headers: { 'transfer-encoding': 'chunked' }, body: Buffer.alloc(BODY_BYTES_MAX + 1, 'x') },
    413,
    'may be 1048576 bytes',
  ],
  [{ body: Buffer.from('['.repeat(1000)) }, 400, 'nested deeper'],
  [{ body: Buffer.from('{"resourceMetrics": [') }, 400, 'not JSON'],
  [{ body: Buffer.from('[]') }, 400, 'resourceMetrics'],
  [{ headers: PROTOBUF, body: Buffer.from([0xff, 0xff]) }, 400, 'ExportMetricsServiceRequest'],
  [{ method: 'GET' }, 405, 'posted'],
  [{ method: 'OPTIONS' }, 405, 'posted'],
  [{ path: '/v1/traces', body: GOOD }, 404, 'switch off the exporter of traces'],
  [{ path: '/v1/logs', body: GOOD }, 404, 'switch off the exporter of logs'],
  [{ path: '/', body: GOOD }, 404, '/v1/metrics'],
] as const)('%o is answered with %i: %s', async ([sending, status, said]) => {
  const { port } = await openSource();
  const answer = await post(port, sending);
  expect([answer.status, answer.body.toString()]).toEqual([status, expect.stringContaining(said)]);
  expect((await post(port, { body: GOOD })).status).toBe(200);
});

test('connections that say nothing, and bodies that end early, keep nobody else out', async () => {
  const { port } = await openSource();
  const silent = Array.from({ length: 20 }, () => connect(port, '127.0.0.1'));
  for (const socket of silent) {
    socket.on('error', () => undefined);
    socket.write(
      'POST /v1/metrics HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{',
    );
    socket.destroySoon();
  }
  await expect.poll(async () => (await post(port, { body: GOOD })).status, { timeout: 10_000 }).toBe(200);
});

test('who exports too much is told to come again later', async () => {
  const { port } = await openSource();
  const heavy = Buffer.from(JSON.stringify(makeExport(...Array.from({ length: 8000 }, (_, i) => gauge(`m${i}`, i)))));
  let status = 0;
  for (let i = 0; i < 500 && status !== 429; i += 1) status = (await post(port, { body: heavy })).status;
  const answer = await post(port, { body: GOOD });
  expect([status, answer.status, Number(answer.headers['retry-after']) > 0]).toEqual([429, 429, true]);
});
