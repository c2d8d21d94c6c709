import { statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { openEmbedded } from '@muster/collector/store/embedded';
import { describeError } from '@muster/proto/log';
import { formatOptions, parseOptions, type Option } from '@muster/proto/options';
import { readEnrollReply } from '@muster/proto/push';
import { isRecord } from '@muster/proto/record';
import { err, ok } from '@muster/proto/result';

import { auditLedger, makeLedgerHost, type Audit, type LedgerHost } from './ledger.ts';
import { startProgram } from './program.ts';
import { mountSmallDisk, type SmallDisk } from './small-disk.ts';
import { until } from './until.ts';

const USAGE = `Fills the disk of a collector and frees it, again and again, while hosts push to it. Takes root, for a tmpfs.

  node scripts/disk-full.ts [options]`;

const OPTIONS = {
  cycles: {
    placeholder: 'COUNT',
    help: 'how often the disk is filled and freed (default 10, at most 25)',
    default: 10,
    parse: (text: string) =>
      /^\d{1,2}$/.test(text) && Number(text) >= 1 && Number(text) <= 25 ? ok(Number(text)) : err('1 to 25'),
  } satisfies Option<number>,
};

/** No disk that can be filled: not a failure, but nothing was tried either. */
const EXIT_CANNOT_MOUNT = 3;
const DISK_BYTES = 96 * 1024 * 1024;
const HOSTS = 4;
const DAY_MS = 86_400_000;
const PUSH_TICKS = 100;
const PUSH_PAUSE_MS = 50;
const RECOVERY_MS_MAX = 30_000;

async function main(): Promise<void> {
  const argv = process.argv.slice(2);
  if (argv.includes('--help')) {
    process.stdout.write(formatOptions(USAGE, OPTIONS));
    return;
  }
  const options = parseOptions(OPTIONS, { argv, env: process.env, readFile: () => '' });
  if (!options.ok) {
    for (const fault of options.error) console.error(fault);
    process.exitCode = 2;
    return;
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1)); // which unmounts
  const disk = mountSmallDisk(DISK_BYTES);
  if (!disk.ok) {
    console.error(disk.error);
    process.exitCode = EXIT_CANNOT_MOUNT;
    return;
  }
  try {
    process.exitCode = (await run(disk.value, options.value.cycles)) ? 0 : 1;
  } finally {
    disk.value.unmount();
  }
}

/** What has been seen so far, by everything that runs at once. `faults` is what must not be. */
type Seen = {
  readonly statuses: Map<number | null, number>;
  readonly events: string[];
  readonly faults: string[];
  ballastsUsed: number;
};

async function run(disk: SmallDisk, cycles: number): Promise<boolean> {
  const seen: Seen = { statuses: new Map(), events: [], faults: [], ballastsUsed: 0 };
  const data = join(disk.directory, 'data');
  const collector = startProgram({
    name: 'collector',
    main: join(import.meta.dirname, '../collector/main.ts'),
    args: ['--port', '0', '--live-port', '0', '--data', data],
    env: {},
    verbose: false,
    onLine: (line) => void seen.events.push(line),
  });
  const url = await collector.ready;
  if (url === null) throw new Error(`Cannot start the collector: ${seen.events.join(' ')}`);
  const api = makeApi(url, seen);
  const hosts: LedgerHost[] = [];
  for (let i = 0; i < HOSTS; i += 1) hosts.push(await enroll(api, `full-${i}`));
  // One old day a cycle, to be dropped while the disk is full; what is pushed meanwhile lies in the last 24 hours.
  const yesterdayMs = Math.floor(Date.now() / DAY_MS) * DAY_MS - DAY_MS;
  const days = Array.from({ length: cycles }, (_, i) => yesterdayMs - (cycles - i) * DAY_MS);
  for (const dayMs of days)
    for (const host of hosts) expectEqual(seen, 'an old day', await host.push(dayMs, PUSH_TICKS), 200);

  const pushing = startPushing(hosts, seen);
  const recoveriesMs: number[] = [];
  for (const dayMs of days) {
    await until('the ballast', () => (hasBallast(data) ? true : null));
    await passFull({ disk, data, api, hosts, pushing, dayMs, seen });
    disk.free();
    const freedMs = Date.now();
    await pushing.untilEvery(200, freedMs, () => undefined);
    recoveriesMs.push(Date.now() - freedMs);
    expectEqual(seen, '/readyz after', (await api('GET', '/readyz')).status, 200);
  }
  await pushing.stop();
  await collector.stop();
  expectEqual(seen, 'the exit code', await collector.exited, 0);
  const engine = await openEmbedded(data);
  const audit = await auditLedger(engine, hosts, yesterdayMs);
  await engine.close();
  return report(seen, recoveriesMs, audit);
}

type FullOptions = {
  readonly disk: SmallDisk;
  readonly data: string;
  readonly api: Api;
  readonly hosts: readonly LedgerHost[];
  readonly pushing: Pushing;
  /** The old day that is dropped. */
  readonly dayMs: number;
  readonly seen: Seen;
};

/** Fills the disk and looks at everything that must work all the same, or say why it does not. */
async function passFull({ disk, data, api, hosts, pushing, dayMs, seen }: FullOptions): Promise<void> {
  const { token } = (await api('POST', '/api/v1/enrolment-tokens')).body;
  await pushing.untilEvery(503, Date.now(), disk.fill);
  const check = async (what: string, status: number, ask: () => Promise<Reply>): Promise<Reply> => {
    disk.fill(); // a merge may have made room meanwhile
    const reply = await ask();
    expectEqual(seen, `${what} while full`, reply.status, status);
    return reply;
  };
  await check('/healthz', 200, () => api('GET', '/healthz'));
  await check('/readyz', 503, () => api('GET', '/readyz'));
  await check('the fleet', 200, () => api('GET', '/api/v1/hosts'));
  for (const { host } of hosts) {
    const query = `host=${host}&metric=system.cpu.utilization&fromMs=${dayMs}&toMs=${dayMs + 3_600_000}`;
    const { body } = await check('a series', 200, () => api('GET', `/api/v1/series?${query}`));
    const [first] = Array.isArray(body['series']) ? body['series'] : [];
    expectEqual(
      seen,
      'the ticks of a series',
      isRecord(first) && Array.isArray(first['tsMs']) ? first['tsMs'].length : 0,
      PUSH_TICKS,
    );
  }
  await check('signing in', 503, () => api('POST', '/api/v1/session', { key: api.key }));
  await check('an enrolment token', 503, () => api('POST', '/api/v1/enrolment-tokens'));
  const request = { token, name: 'late', machine: 'f'.repeat(64) };
  await check('enrolling', 503, () => api('POST', '/api/v1/enroll', request));
  const dropped = await check('dropping a day', 200, () => api('DELETE', `/api/v1/samples?beforeMs=${dayMs + DAY_MS}`));
  // Days before it may be among them: what a full disk has undone is dropped again.
  const day = new Date(dayMs).toISOString().slice(0, 10);
  const { days = '' } = dropped.body;
  expectEqual(seen, `whether ${day} is among ${String(days)}`, String(days).endsWith(day), true);
  if (!hasBallast(data)) seen.ballastsUsed += 1;
}

type Reply = { readonly status: number; readonly body: Readonly<Record<string, unknown>> };
type Api = ((method: string, path: string, body?: object) => Promise<Reply>) & {
  readonly key: string;
  readonly origin: string;
};

function makeApi(url: string, seen: Seen): Api {
  const { origin, hash } = new URL(url);
  const key = hash.slice('#key='.length);
  const api = async (method: string, path: string, body?: object): Promise<Reply> => {
    const response = await fetch(`${origin}${path}`, {
      method,
      headers: { Authorization: `Bearer ${key}` },
      body: body === undefined ? null : JSON.stringify(body),
      signal: AbortSignal.timeout(10_000),
    });
    count(seen, response.status);
    if (response.status === 503 && path !== '/readyz')
      expectEqual(seen, 'Retry-After', Number(response.headers.get('retry-after')) > 0, true);
    const text = await response.text();
    const reply: unknown = text === '' ? {} : JSON.parse(text);
    return { status: response.status, body: isRecord(reply) ? reply : {} };
  };
  return Object.assign(api, { key, origin });
}

async function enroll(api: Api, name: string): Promise<LedgerHost> {
  const { token } = (await api('POST', '/api/v1/enrolment-tokens')).body;
  const machine = Buffer.from(name).toString('hex').padEnd(64, '0');
  const reply = readEnrollReply((await api('POST', '/api/v1/enroll', { token, name, machine })).body);
  if (reply === null) throw new Error(`Cannot enrol ${name}`);
  return makeLedgerHost(api.origin, reply.host, reply.token);
}

type Pushing = ReturnType<typeof startPushing>;

/** Every host pushes again and again, one batch at a time, as an agent with a backlog of 20 hours. */
function startPushing(hosts: readonly LedgerHost[], seen: Seen) {
  const answers = new Map<string, { readonly begunMs: number; readonly status: number | null }>();
  let isOver = false;
  const loops = hosts.map(async (host) => {
    let nextMs = Math.floor(Date.now() / 1000) * 1000 - 20 * 3_600_000;
    while (!isOver) {
      const begunMs = Date.now();
      const status = await host.push(nextMs, PUSH_TICKS);
      answers.set(host.host, { begunMs, status });
      count(seen, status);
      if (status === 200) nextMs += PUSH_TICKS * 1000;
      await sleep(PUSH_PAUSE_MS);
    }
  });
  return {
    /** Resolves when the newest push of every host was begun after an instant and answered so. */
    untilEvery: (status: number, afterMs: number, meanwhile: () => void) =>
      until(`${status} to every host`, () => {
        meanwhile();
        const isIt = hosts.every(({ host }) => {
          const answer = answers.get(host);
          return answer !== undefined && answer.begunMs >= afterMs && answer.status === status;
        });
        return isIt || null;
      }),
    async stop(): Promise<void> {
      isOver = true;
      await Promise.all(loops);
    },
  };
}

function hasBallast(data: string): boolean {
  const bytes = statSync(join(data, 'ballast'), { throwIfNoEntry: false })?.size ?? 0;
  return bytes > 0.04 * DISK_BYTES;
}

function count({ statuses }: Seen, status: number | null): void {
  statuses.set(status, (statuses.get(status) ?? 0) + 1);
}

function expectEqual({ faults }: Seen, what: string, was: unknown, expected: unknown): void {
  if (was !== expected) faults.push(`${what} was ${String(was)}, not ${String(expected)}`);
}

/** Prints the table; false when anything is not as it must be. */
function report(seen: Seen, recoveriesMs: readonly number[], audit: Audit): boolean {
  const { faults, statuses, events } = seen;
  const logged = (event: string): number => events.filter((line) => line.includes(`"event":"${event}"`)).length;
  const unexpected = events.filter((line) => !/"level":"INFO"|"event":"store.(failed|mending)"/.test(line));
  for (const line of unexpected) faults.push(`the log says ${line}`);
  const wrong = [...statuses].filter(([status]) => status === null || (status >= 500 && status !== 503));
  const recoveryMs = Math.max(...recoveriesMs);
  const rows: readonly (readonly [string, unknown])[] = [
    ['cycles', recoveriesMs.length],
    ['recovery, longest', `${recoveryMs} ms`],
    ['ballast needed', `${seen.ballastsUsed} times`],
    ['answers', [...statuses].map(([status, times]) => `${times} × ${status}`).join(', ')],
    ['5xx other than 503', wrong.reduce((sum, [, times]) => sum + times, 0)],
    ['log says full / over', `${logged('store.failed')} / ${logged('store.recovered')}`],
    ['parts mended', logged('store.mending')],
    ['samples acknowledged', audit.acknowledged],
    ['lost', audit.lost],
    ['duplicated', audit.duplicated],
    ['altered', audit.altered],
  ];
  for (const [name, value] of rows) console.log(`${name.padEnd(22)}${String(value)}`);
  for (const fault of faults) console.log(`FAULT: ${fault}`);
  const isExact = audit.lost + audit.duplicated + audit.altered === 0 && audit.acknowledged > 0;
  return faults.length === 0 && wrong.length === 0 && isExact && recoveryMs <= RECOVERY_MS_MAX && seen.ballastsUsed > 0;
}

main().then(
  () => process.exit(),
  (error: unknown) => {
    console.error(describeError(error));
    process.exit(1);
  },
);
