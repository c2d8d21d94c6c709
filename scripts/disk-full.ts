import { statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { openEmbedded } from '@muster/collector/store/embedded';
import { isRecord } from '@muster/proto/record';

import { auditBooks, makeBookkeepingHost, type Audit, type BookkeepingHost } from './bookkeeping-host.ts';
import { numberOption, runCommand } from './command.ts';
import { enrolHost } from './enrol.ts';
import { mountSmallDisk, type SmallDisk } from './small-disk.ts';
import { startCollector, type RunningCollector } from './start-collector.ts';
import { countIn, describeCounts } from './tally.ts';
import { until } from './until.ts';

const DISK_BYTES = 96 * 1024 * 1024;
const HOSTS = 4;
const DAY_MS = 86_400_000;
const PUSH_TICKS = 100;
const PUSH_PAUSE_MS = 50;
const RECOVERY_MS_MAX = 30_000;

async function prove({ cycles }: { readonly cycles: number }): Promise<boolean> {
  const disk = mountSmallDisk(DISK_BYTES);
  try {
    return await run(disk, cycles);
  } finally {
    disk.unmount();
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
  const collector = await startCollector({ data, onLine: (line) => void seen.events.push(line) });
  const api = makeApi(collector, seen);
  const hosts: BookkeepingHost[] = [];
  for (let i = 0; i < HOSTS; i += 1) {
    const { host, token } = await enrolHost(collector, `full-${i}`);
    hosts.push(makeBookkeepingHost(collector.origin, host, token));
  }
  // One old day a cycle, to be dropped while the disk is full; what is pushed meanwhile lies in the last 24 hours.
  const yesterdayMs = Math.floor(Date.now() / DAY_MS) * DAY_MS - DAY_MS;
  const days = Array.from({ length: cycles }, (_, i) => yesterdayMs - (cycles - i) * DAY_MS);
  for (const dayMs of days)
    for (const host of hosts) expectEqual(seen, 'an old day', await host.push(dayMs, PUSH_TICKS), 200);
  // Read once: what has just arrived is not in its table yet, and cannot get there while the disk is full.
  expectEqual(
    seen,
    'a look at the samples',
    (await api('GET', describeSeries(hosts[0]?.host ?? '', yesterdayMs))).status,
    200,
  );

  const pushing = startPushing(hosts, seen);
  const recoveriesMs: number[] = [];
  for (const dayMs of days) {
    await until('the ballast', () => (hasBallast(data) ? true : null));
    await passFull({ disk, data, api, key: collector.key, hosts, pushing, dayMs, seen });
    disk.free();
    const freedMs = Date.now();
    await pushing.untilEvery(200, freedMs, () => undefined);
    recoveriesMs.push(Date.now() - freedMs);
    expectEqual(seen, '/readyz after', (await api('GET', '/readyz')).status, 200);
  }
  await pushing.stop();
  expectEqual(seen, 'the exit code', await collector.stop(), 0);
  const engine = await openEmbedded(data);
  const audit = await auditBooks(engine, hosts, yesterdayMs);
  await engine.close();
  return report(seen, recoveriesMs, audit);
}

type FullOptions = {
  readonly disk: SmallDisk;
  readonly data: string;
  readonly api: Api;
  readonly key: string;
  readonly hosts: readonly BookkeepingHost[];
  readonly pushing: Pushing;
  /** The old day that is dropped. */
  readonly dayMs: number;
  readonly seen: Seen;
};

/** Fills the disk and looks at everything that must work all the same, or say why it does not. */
async function passFull({ disk, data, api, key, hosts, pushing, dayMs, seen }: FullOptions): Promise<void> {
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
    const { body } = await check('a series', 200, () => api('GET', describeSeries(host, dayMs)));
    const [first] = Array.isArray(body['series']) ? body['series'] : [];
    expectEqual(
      seen,
      'the ticks of a series',
      isRecord(first) && Array.isArray(first['tsMs']) ? first['tsMs'].length : 0,
      PUSH_TICKS,
    );
  }
  await check('signing in', 503, () => api('POST', '/api/v1/session', { key }));
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

function describeSeries(host: string, fromMs: number): string {
  return `/api/v1/series?host=${host}&metric=system.cpu.utilization&fromMs=${fromMs}&toMs=${fromMs + 3_600_000}`;
}

type Reply = { readonly status: number; readonly body: Readonly<Record<string, unknown>> };
type Api = (method: string, path: string, body?: object) => Promise<Reply>;

function makeApi({ origin, key }: RunningCollector, seen: Seen): Api {
  return async (method, path, body) => {
    const response = await fetch(`${origin}${path}`, {
      method,
      headers: { Authorization: `Bearer ${key}` },
      body: body === undefined ? null : JSON.stringify(body),
      signal: AbortSignal.timeout(10_000),
    });
    countIn(seen.statuses, response.status);
    if (response.status === 503 && path !== '/readyz')
      expectEqual(seen, 'Retry-After', Number(response.headers.get('retry-after')) > 0, true);
    const text = await response.text();
    const reply: unknown = text === '' ? {} : JSON.parse(text);
    return { status: response.status, body: isRecord(reply) ? reply : {} };
  };
}

type Pushing = ReturnType<typeof startPushing>;

/** Every host pushes again and again, one batch at a time, as an agent with a backlog of 20 hours. */
function startPushing(hosts: readonly BookkeepingHost[], seen: Seen) {
  const answers = new Map<string, { readonly begunMs: number; readonly status: number | null }>();
  let isOver = false;
  const loops = hosts.map(async (host) => {
    let nextMs = Math.floor(Date.now() / 1000) * 1000 - 20 * 3_600_000;
    while (!isOver) {
      const begunMs = Date.now();
      const status = await host.push(nextMs, PUSH_TICKS);
      answers.set(host.host, { begunMs, status });
      countIn(seen.statuses, status);
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
    ['answers', describeCounts(statuses)],
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

await runCommand({
  usage: `disk-full: fills the disk of a collector and frees it again, while hosts push to it; proves that nothing crashes, that
reads and dropping days work while it is full, that pushes are taken again within ${RECOVERY_MS_MAX / 1_000} s of there being room, and that
nothing acknowledged is lost. Takes root, for a tmpfs.

  node scripts/disk-full.ts --cycles 10`,
  options: {
    cycles: numberOption({
      unit: 'TIMES',
      help: 'how often the disk is filled and freed, up to 25',
      default: 10,
      min: 1,
      max: 25,
    }),
  },
  prove,
});
