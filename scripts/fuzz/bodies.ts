import { createHash } from 'node:crypto';
import { gzipSync, zstdCompressSync } from 'node:zlib';

import { encodeBrief, makeBasis } from '@muster/proto/basis';
import { encodeBatch, type Batch } from '@muster/proto/batch';
import { BATCH_CONTENT_TYPE } from '@muster/proto/push';

import { binary, drawHostile, HOSTILE_TEXTS, list, map, number, text, type Entry } from './message.ts';
import { drawInteger, drawOne, seededRandom } from '../random.ts';

type Random = () => number;

export type FuzzRequest = {
  /** How it was made. */
  readonly kind: 'mutated' | 'structured' | 'brief';
  readonly token: 'right' | 'wrong';
  /** null: the header is missing. */
  readonly contentType: string | null;
  readonly contentEncoding: string | null;
  readonly body: Uint8Array;
};

/**
 * Requests to the ingest route of which hardly one is right: the golden batches with damage, messages of MessagePack that
 * is sound but not what it should be, and damaged batches beside one that some of them bring whole. Request `index`
 * follows from the seed, the index and the time.
 */
export function makeFuzzer(seed: number, nowMs: number): (index: number) => FuzzRequest {
  const goldens = makeGoldens(nowMs);
  const [basis, ...briefs] = makeBriefs(nowMs);
  return (index) => {
    const random = seededRandom(seed, index);
    if (random() < 0.1) {
      const message = random() < 0.2 ? basis : mutate(random, [drawOne(random, briefs)]);
      return { kind: 'brief', ...wrap(random, message) };
    }
    const kind = random() < 0.5 ? 'mutated' : 'structured';
    const message = kind === 'mutated' ? mutate(random, goldens) : makeMessage(random, nowMs);
    return { kind, ...wrap(random, message) };
  };
}

function makeGoldens(nowMs: number): readonly [Uint8Array, ...Uint8Array[]] {
  const startMs = Math.floor(nowMs / 1000) * 1000 - 60_000;
  const origin = { epoch: 0xdead_beef, seq: 7, sentMs: nowMs };
  const one: Batch = {
    ...origin,
    ticksMs: [startMs],
    series: [['system.cpu.utilization', '']],
    values: Float64Array.of(0.25),
  };
  const labels = Array.from({ length: 8 }, (_, core) => `cpu=${core},cpu.mode=user`);
  const many: Batch = {
    ...origin,
    since: 3,
    run: 12_345,
    everyMs: 1000,
    ticksMs: Array.from({ length: 10 }, (_, tick) => startMs + tick * 1000),
    series: labels.map((label) => ['system.cpu.utilization', label] as const),
    values: Float64Array.from({ length: 80 }, (_, i) => i / 80),
  };
  const rich: Batch = {
    ...one,
    info: { os: 'Debian GNU/Linux 12', kernel: '6.1.0', arch: 'x64', cores: 2, memoryBytes: 25_281_118_208 },
    events: [
      { kind: 'boot', atMs: startMs },
      { kind: 'gap', fromMs: startMs, toMs: startMs + 1000, dropped: 1080, reason: 'full' },
    ],
  };
  return [encodeBatch(one), encodeBatch(many), encodeBatch(rich)];
}

/** A batch that leaves a basis, then two that are told beside it. */
function makeBriefs(nowMs: number): readonly [Uint8Array, Uint8Array, Uint8Array] {
  const first: Batch = {
    epoch: 0xdead_beef,
    seq: 7,
    sentMs: nowMs,
    ticksMs: [nowMs - 2_000],
    series: Array.from({ length: 8 }, (_, core) => ['system.cpu.utilization', `cpu=${core}`] as const),
    values: Float64Array.from({ length: 8 }, (_, i) => i / 8),
    keep: true,
  };
  const basis = makeBasis(first, null, (bytes) => createHash('sha256').update(bytes).digest());
  const next = { ...first, seq: 8, ticksMs: [nowMs - 1_000], values: first.values.map((value) => value / 2) };
  const wider: Batch = {
    ...next,
    series: [...basis.series, ['system.load', 'n=1']],
    values: Float64Array.of(...next.values, 1 / 3),
    events: [{ kind: 'boot', atMs: nowMs }],
  };
  return [encodeBatch(first), encodeBrief({ ...next, series: basis.series }, basis), encodeBrief(wider, basis)];
}

/** The bytes that MessagePack gives most meaning to. */
const TYPES = [0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xff, ...Array.from({ length: 32 }, (_, i) => 0xc0 + i)];

type Mutation = (random: Random, bytes: Buffer, other: Uint8Array) => Buffer;

const MUTATIONS: readonly [Mutation, ...Mutation[]] = [
  function flipBits(random, bytes) {
    for (let i = drawInteger(random, 1, 8); i > 0; i -= 1) {
      const at = drawPlace(random, bytes);
      bytes[at] = (bytes[at] ?? 0) ^ (1 << drawInteger(random, 0, 7));
    }
    return bytes;
  },
  function setType(random, bytes) {
    bytes[drawPlace(random, bytes)] = TYPES[drawInteger(random, 0, TYPES.length - 1)] ?? 0;
    return bytes;
  },
  function cutShort(random, bytes) {
    return bytes.subarray(0, drawPlace(random, bytes));
  },
  function insert(random, bytes) {
    const at = drawPlace(random, bytes);
    const more = Uint8Array.from({ length: drawInteger(random, 1, 40) }, () => drawInteger(random, 0, 255));
    return Buffer.concat([bytes.subarray(0, at), more, bytes.subarray(at)]);
  },
  function remove(random, bytes) {
    const at = drawPlace(random, bytes);
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + drawInteger(random, 1, 40))]);
  },
  function repeat(random, bytes) {
    const at = drawPlace(random, bytes);
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(Math.max(0, at - drawInteger(random, 1, 40)))]);
  },
  function splice(random, bytes, other) {
    return Buffer.concat([bytes.subarray(0, drawPlace(random, bytes)), other.subarray(drawPlace(random, other))]);
  },
  function setNumber(random, bytes) {
    const at = drawPlace(random, bytes);
    bytes.set(number(drawOne(random, [NaN, Infinity, -0, 2 ** 53, -1, 1e300])).subarray(0, bytes.length - at), at);
    return bytes;
  },
];

function drawPlace(random: Random, bytes: Uint8Array): number {
  return drawInteger(random, 0, Math.max(0, bytes.length - 1));
}

function mutate(random: Random, goldens: readonly [Uint8Array, ...Uint8Array[]]): Buffer {
  let bytes: Buffer = Buffer.from(drawOne(random, goldens));
  for (let i = drawInteger(random, 1, 4); i > 0; i -= 1)
    bytes = drawOne(random, MUTATIONS)(random, bytes, drawOne(random, goldens));
  return bytes;
}

/** A right message with one to three things that are not. */
function makeMessage(random: Random, nowMs: number): Buffer {
  const ticks = drawInteger(random, 0, 3);
  const series = drawInteger(random, 0, 3);
  const startMs = nowMs - 10_000;
  let entries: Entry[] = [
    [text('v'), number(1)],
    [text('epoch'), number(drawInteger(random, 0, 2 ** 32))],
    [text('seq'), number(drawInteger(random, 1000, 2000))],
    [text('sentMs'), number(nowMs)],
    [text('t'), list(Array.from({ length: ticks }, (_, tick) => number(startMs + tick * 1000)))],
    [text('s'), list(Array.from({ length: series }, (_, i) => list([text('system.load'), text(`n=${i}`)])))],
    [text('x'), binary(new Uint8Array(ticks * series * 8))],
  ];
  for (let i = drawInteger(random, 1, 3); i > 0; i -= 1) entries = alter(random, entries, nowMs);
  return map(entries);
}

function alter(random: Random, entries: readonly Entry[], nowMs: number): Entry[] {
  const at = drawInteger(random, 0, entries.length - 1);
  const [key, value] = entries[at] ?? [text('v'), number(1)];
  const hostile = drawHostile(random);
  switch (drawInteger(random, 0, 9)) {
    case 0:
      return entries.filter((_, i) => i !== at);
    case 1:
      return entries.with(at, [key, hostile]);
    case 2:
      return entries.with(at, [hostile, value]);
    case 3:
      return [...entries, [key, hostile]]; // twice
    case 4:
      return [...entries, [text(drawOne(random, HOSTILE_TEXTS)), hostile]];
    case 5:
      return put(entries, 's', list([list([drawName(random), drawName(random)]), drawHostile(random)]));
    case 6:
      return put(entries, 't', list([number(nowMs), hostile, number(nowMs - drawInteger(random, 0, 1e12))]));
    case 7:
      return put(entries, drawOne(random, ['since', 'run', 'everyMs', 'seq', 'v']), hostile);
    case 8:
      return put(
        entries,
        'info',
        map([
          [text('os'), hostile],
          [text('cores'), drawHostile(random)],
        ]),
      );
    default:
      return put(entries, 'events', list([hostile, drawEvent(random, nowMs)]));
  }
}

function put(entries: readonly Entry[], name: string, value: Buffer): Entry[] {
  const key = text(name);
  return [...entries.filter(([other]) => !other.equals(key)), [key, value]];
}

function drawName(random: Random): Buffer {
  return random() < 0.3 ? drawHostile(random) : text(drawOne(random, ['system.load', ...HOSTILE_TEXTS]));
}

function drawEvent(random: Random, nowMs: number): Buffer {
  const names = ['atMs', 'fromMs', 'toMs', 'dropped', 'reason'] as const;
  const kind = drawOne(random, ['boot', 'gap', 'oom-kill', 'lunch', ...HOSTILE_TEXTS]);
  return map([
    [text('kind'), text(kind)],
    ...names.map((name): Entry => [text(name), random() < 0.8 ? number(nowMs) : drawHostile(random)]),
  ]);
}

const CONTENT_TYPES = ['application/json', 'application/x-msgpack; charset=utf-8', 'text/html', 'x', '', '/'] as const;
const ENCODINGS = ['br', 'zstd, gzip', 'ZSTD', ' gzip', 'identity', 'deflate', '', 'x'.repeat(4_000)] as const;

/** A request of a message: mostly with the headers it should have, sometimes with others, or damaged on the way. */
function wrap(random: Random, message: Uint8Array): Omit<FuzzRequest, 'kind'> {
  const contentType = random() < 0.97 ? BATCH_CONTENT_TYPE : drawOne(random, [null, ...CONTENT_TYPES]);
  const token = random() < 0.99 ? 'right' : 'wrong';
  const encoding = drawOne(random, ['zstd', 'gzip', null, null]);
  let body = message;
  if (encoding !== null) {
    body = encoding === 'zstd' ? zstdCompressSync(message) : gzipSync(message, { level: 1 });
    const chance = random();
    if (chance < 0.05) body = drawOne(random, MUTATIONS)(random, Buffer.from(body), message);
    else if (chance < 0.06) body = Buffer.concat([body, body]); // a second frame, a second member
    else if (chance < 0.07) body = encoding === 'zstd' ? gzipSync(body) : zstdCompressSync(body);
  }
  const contentEncoding = random() < 0.97 ? encoding : drawOne(random, ['zstd', 'gzip', ...ENCODINGS]);
  return { token, contentType, contentEncoding, body };
}
