import { createHash } from 'node:crypto';

import { encodeBrief, fitToBasis, makeBasis, type Basis } from '@muster/proto/basis';
import { encodeBatch, type Batch } from '@muster/proto/batch';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { openTestCollector, readCode, readJson, type TestCollector } from '../test-collector.ts';

let collector: TestCollector;
let token: string;

beforeAll(async () => {
  collector = await openTestCollector();
  ({ token } = await collector.enroll('web-1', 'a'.repeat(64)));
});

afterAll(() => collector.close());

const hash = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest();
const startMs = Math.floor(Date.now() / 1000) * 1000 - 60_000;

function makeBatch(seq: number, samples: Readonly<Record<string, number>>): Batch {
  return {
    epoch: 1,
    seq,
    run: 4711,
    everyMs: 1_000,
    sentMs: Date.now(),
    ticksMs: [startMs + 1_000 * seq],
    series: Object.keys(samples).map((mode) => ['system.cpu.utilization', `cpu.mode=${mode}`] as const),
    values: Float64Array.from(Object.values(samples)),
    keep: true,
  };
}

async function tell(batch: Batch, basis: Basis): Promise<Response> {
  const fitted = fitToBasis(batch, basis);
  if (fitted === null) throw new Error('It does not fit');
  return collector.push(token, encodeBrief(fitted, basis));
}

async function readModes(): Promise<unknown> {
  const response = await collector.asAdmin(
    `/api/v1/series?host=web-1&metric=system.cpu.utilization&fromMs=${startMs}&toMs=${startMs + 60_000}`,
  );
  const { series } = await readJson(response);
  return series;
}

test('a batch that is told beside the one before is stored as what it says in full', async () => {
  const first = makeBatch(1, { idle: 0.5, user: 0.25 });
  expect(await readJson(await collector.push(token, encodeBatch(first)))).toMatchObject({ ack: 1, kept: true });
  const basis = makeBasis(first, null, hash);
  const second = makeBatch(2, { system: 0.125, user: 0.75 });
  expect(await readJson(await tell(second, basis))).toMatchObject({ ack: 2, kept: true });
  expect(await readModes()).toEqual([
    { labels: { 'cpu.mode': 'idle' }, tsMs: [startMs + 1_000], values: [0.5] },
    { labels: { 'cpu.mode': 'system' }, tsMs: [startMs + 2_000], values: [0.125] },
    { labels: { 'cpu.mode': 'user' }, tsMs: [startMs + 1_000, startMs + 2_000], values: [0.25, 0.75] },
  ]);
});

test('one whose basis is not there is wanted in full, which is no fault; nor is it that of another host', async () => {
  const first = makeBatch(11, { idle: 0.5, user: 0.25 });
  await collector.push(token, encodeBatch(first));
  const basis = makeBasis(first, null, hash);
  const other = (await collector.enroll('web-2', 'b'.repeat(64))).token;
  const lines = collector.lines.length;
  const brief = encodeBrief(makeBatch(12, { idle: 0.6, user: 0.3 }), basis);
  const answers = [await collector.push(other, brief)];
  // Another batch has come since.
  await collector.push(token, encodeBatch(makeBatch(13, { idle: 0.7, user: 0.3 })));
  answers.push(await collector.push(token, brief));
  for (const answer of answers) expect([answer.status, await readCode(answer)]).toEqual([409, 'unknown-basis']);
  expect(collector.lines.slice(lines)).toEqual([]);
});

test('a batch in full that asks for nothing to be kept leaves what there was', async () => {
  const first = makeBatch(21, { idle: 0.5, user: 0.25 });
  await collector.push(token, encodeBatch(first));
  const { keep: _, ...backlog } = makeBatch(22, { user: 0.1 });
  const ack = await readJson(await collector.push(token, encodeBatch(backlog)));
  expect(ack).not.toHaveProperty('kept');
  expect((await tell(makeBatch(23, { idle: 0.6, user: 0.3 }), makeBasis(first, null, hash))).status).toBe(200);
});

test('an answer to an agent carries what it looks at, and nothing for browsers and caches', async () => {
  const answer = await collector.push(token, encodeBatch(makeBatch(31, { user: 0.5 })));
  expect([...answer.headers.keys()].toSorted()).toEqual(['content-length', 'content-type']);
  const page = await collector.asAdmin('/api/v1/hosts');
  expect(page.headers.get('content-security-policy')).toContain("default-src 'none'");
  expect(page.headers.get('date')).not.toBe(null);
});
