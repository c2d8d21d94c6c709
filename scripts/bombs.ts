import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { encodeBatch } from '@muster/proto/batch';
import { BATCH_CONTENT_TYPE, ENROLL_PATH, INGEST_PATH, readEnrollReply } from '@muster/proto/push';

import { makeBombs, type Blast } from './bomb-kinds.ts';
import { openWire } from './wire.ts';

const USAGE = `bombs: what small and heavy requests do to a collector and to the agents beside them

  node scripts/bombs.ts [part of a name]...
`;

/** Honest agents; each pushes the next batch when the last is acknowledged and a little time has passed. */
const AGENTS = 100;
const PAUSE_MS = 200;
/** How long the agents are measured undisturbed, before each kind of bomb. */
const BEFORE_MS = 8_000;
/** What each agent delivers first, as after an outage: the memory for that is not the bombs'. */
const BACKLOG_TICKS = 600;
const WARM_MS = 30_000;
const LOOK_MS = 20;

type Memory = { readonly rssMiB: number; readonly anonymousMiB: number };

async function main(names: readonly string[]): Promise<void> {
  if (names.includes('--help')) {
    process.stdout.write(USAGE);
    return;
  }
  const data = await mkdtemp(join(tmpdir(), 'muster-bombs-'));
  const program = join(import.meta.dirname, '../collector/main.ts');
  const args = ['--port', '0', '--live-port', '0', '--data', data];
  const collector = fork(program, args, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  const [ready] = (await once(collector, 'message')) as [{ readonly url: string }];
  const url = new URL(ready.url);
  const enroll = makeEnroll(url);
  const evil = await enroll('evil');
  const agents = await openAgents(Number(url.port), enroll);
  await sleep(WARM_MS);
  console.log(
    'kind | outcomes | refused in ms p50 / p99 / max | RSS, anonymous MiB | agents ms before p50 / p99, during p50 / p99',
  );
  for (const { name } of makeBombs()) {
    if (names.length > 0 && !names.some((part) => name.includes(part))) continue;
    await measure({ name, port: Number(url.port), token: evil, collector, agents });
  }
  await agents.close();
  collector.kill('SIGTERM');
  const [code] = (await once(collector, 'exit')) as [number | null];
  console.log(
    `agents: ${agents.acknowledged()} batches acknowledged, ${agents.failed()} not; collector ended with ${code}`,
  );
  await rm(data, { recursive: true });
}

type Measurement = {
  readonly name: string;
  readonly port: number;
  readonly token: string;
  readonly collector: ChildProcess;
  readonly agents: Agents;
};

async function measure({ name, port, token, collector, agents }: Measurement): Promise<void> {
  agents.takeTimes();
  await sleep(BEFORE_MS);
  const before = agents.takeTimes();
  const bomber = fork(import.meta.filename, ['--explode', name, String(port), token]);
  await once(bomber, 'message'); // it has its bombs ready
  const start = readMemory(collector);
  let peak = start;
  const timer = setInterval(() => {
    const { rssMiB, anonymousMiB } = readMemory(collector);
    peak = { rssMiB: Math.max(peak.rssMiB, rssMiB), anonymousMiB: Math.max(peak.anonymousMiB, anonymousMiB) };
  }, LOOK_MS);
  agents.takeTimes();
  bomber.send('go');
  const [blast] = (await once(bomber, 'message')) as [Blast];
  const during = agents.takeTimes();
  clearInterval(timer);
  const outcomes = Object.entries(blast.outcomes).map(([outcome, times]) => `${outcome} × ${times}`);
  if (blast.held > 0) outcomes.push(`held ${blast.held}`);
  const { refusedMs } = blast;
  console.log(
    [
      name,
      outcomes.join(', '),
      [quantile(refusedMs, 0.5), quantile(refusedMs, 0.99), quantile(refusedMs, 1)].join(' / '),
      `+${peak.rssMiB - start.rssMiB}, +${peak.anonymousMiB - start.anonymousMiB} of ${start.rssMiB}`,
      `${quantile(before, 0.5)} / ${quantile(before, 0.99)}, ${quantile(during, 0.5)} / ${quantile(during, 0.99)}`,
    ].join(' | '),
  );
}

async function explode([name, port, token]: readonly string[]): Promise<void> {
  const bomb = makeBombs().find((one) => one.name === name);
  const go = await bomb?.prepare({ port: Number(port), token: token ?? '' });
  process.send?.('ready');
  await once(process, 'message');
  process.send?.(await go?.(), () => process.disconnect());
}

/** Memory of a process, from its status: all that is resident, and the part that belongs to it alone. */
function readMemory({ pid }: ChildProcess): Memory {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const read = (name: string): number => Math.round(Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1]) / 1024);
  return { rssMiB: read('VmRSS'), anonymousMiB: read('RssAnon') };
}

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN);
}

/** Enrols hosts at a collector; resolves with the token. */
function makeEnroll({ origin, hash }: URL): (name: string) => Promise<string> {
  const headers = { Authorization: `Bearer ${hash.slice('#key='.length)}` };
  let machine = 0;
  return async (name) => {
    const made = await fetch(`${origin}/api/v1/enrolment-tokens`, { method: 'POST', headers });
    machine += 1;
    const request = { ...Object(await made.json()), name, machine: String(machine).padStart(64, '0') };
    const response = await fetch(origin + ENROLL_PATH, { method: 'POST', body: JSON.stringify(request) });
    const reply = readEnrollReply(await response.json());
    if (reply === null) throw new Error(`Cannot enrol ${name}: ${response.status}`);
    return reply.token;
  };
}

type Agents = {
  /** How long each push since the last call has taken, in ms. */
  readonly takeTimes: () => readonly number[];
  readonly acknowledged: () => number;
  readonly failed: () => number;
  readonly close: () => Promise<void>;
};

async function openAgents(port: number, enroll: (name: string) => Promise<string>): Promise<Agents> {
  let times: number[] = [];
  let acknowledged = 0;
  let failed = 0;
  let isClosing = false;
  const run = async (token: string): Promise<void> => {
    const wire = openWire(port);
    for (let seq = 0; !isClosing; seq += 1) {
      const body = makeBatch(seq, seq < 2 ? BACKLOG_TICKS : 1);
      const head = `POST ${INGEST_PATH} HTTP/1.1\r\nHost: agent\r\nAuthorization: Bearer ${token}\r\nContent-Type: ${BATCH_CONTENT_TYPE}\r\nContent-Length: ${body.length}\r\n\r\n`;
      const startedMs = performance.now();
      const answer = await wire.ask([Buffer.from(head), body]);
      times.push(performance.now() - startedMs);
      if (answer?.status === 200) acknowledged += 1;
      else failed += 1;
      await sleep(PAUSE_MS);
    }
    wire.close();
  };
  const tokens = await Promise.all(Array.from({ length: AGENTS }, (_, i) => enroll(`agent-${i}`)));
  const running = Promise.all(tokens.map(run));
  return {
    takeTimes() {
      const taken = times;
      times = [];
      return taken;
    },
    acknowledged: () => acknowledged,
    failed: () => failed,
    async close() {
      isClosing = true;
      await running;
    },
  };
}

function makeBatch(seq: number, ticks: number): Uint8Array {
  const nowMs = Date.now();
  const series = Array.from({ length: 50 }, (_, core) => ['system.cpu.utilization', `cpu=${core}`] as const);
  const ticksMs = Array.from({ length: ticks }, (_, tick) => nowMs - (ticks - 1 - tick) * 1000);
  const values = new Float64Array(series.length * ticks).fill(0.5);
  return encodeBatch({ epoch: 1, seq, sentMs: nowMs, ticksMs, series, values });
}

const [command, ...rest] = process.argv.slice(2);
if (command === '--explode') await explode(rest);
else await main(process.argv.slice(2));
