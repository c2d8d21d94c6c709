import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { encodeBatch, type Batch, type Series } from '@muster/proto/batch';
import { makeLog } from '@muster/proto/log';
import { BATCH_CONTENT_TYPE, INGEST_PATH, readEnrollReply, type EnrollReply } from '@muster/proto/push';
import { isRecord } from '@muster/proto/record';

import { openCollector } from './collector.ts';
import type { Config } from './config.ts';
import type { Keep } from './domain/keep.ts';
import type { AnyJob } from './job.ts';
import type { ServerAddress } from './store/server-address.ts';

/** `data`: a directory that stays; without it, one of its own that goes when the collector is closed. `agents`: a build. */
export type TestCollectorOptions = {
  readonly data?: string;
  readonly agents?: string;
  readonly now?: () => number;
  readonly keep?: Partial<Keep>;
  readonly jobs?: readonly AnyJob[];
  readonly backupEvery?: number;
  readonly storeUrl?: ServerAddress | null;
  readonly storeCluster?: string;
};

const CONFIG: Omit<Config, 'data'> = {
  port: 0,
  livePort: 0,
  bind: '127.0.0.1',
  insecureHttp: false,
  storeUrl: null,
  storeCluster: '',
  agents: '/nowhere',
  keep: {},
  durability: 'process',
  backupTo: '',
  backupEvery: 0,
  backupKeep: 2,
};

/** A real collector on free ports, for tests; one at a time in a process (the engine's rule). */
export async function openTestCollector({ data: kept, now = Date.now, jobs, ...options }: TestCollectorOptions = {}) {
  const data = kept ?? (await mkdtemp(join(tmpdir(), 'muster-collector-')));
  const lines: string[] = [];
  const collector = await openCollector(
    { ...CONFIG, ...options, data },
    makeLog((line) => void lines.push(line), now),
    now,
    jobs,
  );
  const { origin, hash } = new URL(collector.url);
  const key = hash.slice('#key='.length);
  const asAdmin = (path: string, method = 'GET'): Promise<Response> =>
    fetch(`${origin}${path}`, { method, headers: { Authorization: `Bearer ${key}` } });
  return {
    origin,
    port: collector.port,
    routes: collector.routes,
    fetch: collector.fetch,
    key,
    data,
    /** What was logged. */
    lines,
    asAdmin,
    /** Enrols a host as an agent does. */
    async enroll(name: string, machine: string): Promise<EnrollReply> {
      const token: unknown = await (await asAdmin('/api/v1/enrolment-tokens', 'POST')).json();
      const response = await fetch(`${origin}/api/v1/enroll`, {
        method: 'POST',
        body: JSON.stringify({ ...Object(token), name, machine }),
      });
      const reply = readEnrollReply(await response.json());
      if (reply === null) throw new Error(`Cannot enrol ${name}: ${response.status}`);
      return reply;
    },
    push: (token: string, body: Uint8Array, headers: Record<string, string> = {}): Promise<Response> =>
      fetch(`${origin}${INGEST_PATH}`, {
        method: 'POST',
        body: new Uint8Array(body),
        headers: { Authorization: `Bearer ${token}`, 'Content-Type': BATCH_CONTENT_TYPE, ...headers },
      }),
    /** Closes it and leaves its directory. */
    stop: (): Promise<void> => collector.close(),
    async close(): Promise<void> {
      await collector.close();
      if (kept === undefined) await rm(data, { recursive: true });
    },
  };
}

export type TestCollector = Awaited<ReturnType<typeof openTestCollector>>;

/** A batch of one tick. */
export function makeTestBatch(seq: number, tickMs: number, samples: readonly (readonly [...Series, number])[]): Batch {
  return {
    epoch: 1,
    seq,
    sentMs: tickMs,
    ticksMs: [tickMs],
    series: samples.map(([metric, labels]) => [metric, labels] as const),
    values: Float64Array.from(samples, ([, , value]) => value),
  };
}

/** The bytes of a batch of one tick with a CPU utilization. */
export function encodeCpu(seq: number, tickMs: number, cpuRatio: number): Uint8Array {
  return encodeBatch(makeTestBatch(seq, tickMs, [['system.cpu.utilization', '', cpuRatio]]));
}

/** A JSON object that was answered; empty where it is none. */
export async function readJson(response: Response): Promise<Record<string, unknown>> {
  const value: unknown = await response.json();
  return isRecord(value) ? value : {};
}

/** The code of an answer that says what is wrong, and does so in words. */
export async function readCode(response: Response): Promise<string> {
  const { error } = await readJson(response);
  return isRecord(error) && typeof error['message'] === 'string' ? String(error['code']) : 'no error';
}
