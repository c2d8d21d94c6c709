import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Option, Values } from '@muster/proto/options';
import { err, ok } from '@muster/proto/result';

import { openAgents, type Agents } from './bombs/agents.ts';
import type { Blast, BomberOrder, BomberTask } from './bombs/bomber.ts';
import { makeBombs } from './bombs/kinds.ts';
import { numberOption, runCommand, say } from './command.ts';
import { enrolHost } from './enrol.ts';
import { quantile } from './quantile.ts';
import { startCollector, type RunningCollector } from './start-collector.ts';
import { countIn, describeCounts } from './tally.ts';
import { readUsage } from './usage.ts';

/** The figures to reach. */
const REFUSED_MS_MAX = 50;
const RSS_MIB_MAX = 32;
const AGENTS_RATIO_MAX = 2;
/** For the bombs that come one at a time: so many that none has to wait because of what it has sent before. */
const HOSTS = 50;
/** Until a host may send something heavy again. */
const CALM_MS = 1_100;
/** How often the memory is looked at. */
const LOOK_MS = 20;
const MIB = 1024 ** 2;

const NAMES = makeBombs().map(({ name }) => name);

const OPTIONS = {
  only: {
    placeholder: 'TEXT',
    help: 'only bombs with this in their names (default all)',
    default: NAMES,
    parse: (text) => {
      const names = NAMES.filter((name) => name.includes(text));
      return names.length > 0 ? ok(names) : err(`part of one of these: ${NAMES.join('; ')}`);
    },
  } satisfies Option<readonly string[]>,
  agents: numberOption({ help: 'honest agents beside the bombs', default: 100, min: 1, max: 900 }),
  hosts: numberOption({ help: 'hosts that send what comes at once', default: 1, min: 1, max: HOSTS }),
  warmUp: numberOption({ unit: 'SECONDS', help: 'for which the agents push before the first bomb', default: 30 }),
  before: numberOption({ unit: 'SECONDS', help: 'for which they are measured before each kind', default: 8, min: 1 }),
};

/** What one kind of bomb did when all came at once; `before` and `during` are times of the agents' pushes. */
type Damage = {
  readonly name: string;
  readonly blast: Blast;
  readonly rssMiB: number;
  readonly anonymousMiB: number;
  readonly before: readonly number[];
  readonly during: readonly number[];
};

async function prove(options: Values<typeof OPTIONS>): Promise<boolean> {
  const data = await mkdtemp(join(tmpdir(), 'muster-bombs-'));
  const events = new Map<string, number>();
  const onLine = (line: string): void => countIn(events, /"event":"([\w.-]+)"/.exec(line)?.[1] ?? line);
  const collector = await startCollector({ data, onLine });
  try {
    const tokens: string[] = [];
    for (let i = 0; i < HOSTS; i += 1) tokens.push((await enrolHost(collector, `evil-${i}`)).token);
    const { port } = collector;
    const singles = await dropSingles(options.only.map((name) => ({ name, port, tokens })));
    const tasks = options.only.map((name) => ({ name, port, tokens: tokens.slice(0, options.hosts) }));
    const damages = await dropAll(collector, tasks, options);
    return judge(singles, damages);
  } finally {
    console.log(`the collector ended with ${await collector.stop()}; its log: ${describeCounts(events)}`);
    await rm(data, { recursive: true });
  }
}

async function dropSingles(tasks: readonly BomberTask[]): Promise<ReadonlyMap<string, Blast>> {
  console.log('one at a time, on a quiet collector | outcomes | refused after ms p50 / p99 / max | generator busy');
  const singles = new Map<string, Blast>();
  for (const task of tasks) {
    const blast = await withBomber(task, (bomber) => drop(bomber, 'one'));
    console.log([task.name, ...describeBlast(blast)].join(' | '));
    singles.set(task.name, blast);
    await sleep(CALM_MS);
  }
  return singles;
}

async function dropAll(
  collector: RunningCollector,
  tasks: readonly BomberTask[],
  options: Values<typeof OPTIONS>,
): Promise<readonly Damage[]> {
  say(`${options.agents} agents push`);
  const agents = await openAgents(collector, options.agents);
  await sleep(1_000 * options.warmUp);
  console.log(
    'all at once, beside agents | outcomes | refused after ms p50 / p99 / max | generator busy | RSS, anonymous MiB | ' +
      'agents ms before p50 / p99, during p50 / p99',
  );
  const damages: Damage[] = [];
  for (const task of tasks) {
    const damage = await withBomber(task, (bomber) => measure(collector, agents, { bomber, task, options }));
    const { blast, rssMiB, anonymousMiB, before, during } = damage;
    const feel = [before, during].map((times) => describeTimes(times, [0.5, 0.99])).join(', ');
    console.log([task.name, ...describeBlast(blast), `+${rssMiB}, +${anonymousMiB}`, feel].join(' | '));
    damages.push(damage);
  }
  await agents.close();
  console.log(`agents: ${agents.acknowledged()} batches acknowledged, ${agents.failed()} not`);
  return damages;
}

type Drop = { readonly bomber: ChildProcess; readonly task: BomberTask; readonly options: Values<typeof OPTIONS> };

async function measure(
  { pid }: RunningCollector,
  agents: Agents,
  { bomber, task: { name }, options }: Drop,
): Promise<Damage> {
  agents.takeTimes();
  await sleep(1_000 * options.before);
  const before = agents.takeTimes();
  const start = readUsage(pid);
  let [rssBytes, anonymousBytes] = [0, 0];
  const timer = setInterval(() => {
    const now = readUsage(pid);
    rssBytes = Math.max(rssBytes, now.rssBytes - start.rssBytes);
    anonymousBytes = Math.max(anonymousBytes, now.anonymousBytes - start.anonymousBytes);
  }, LOOK_MS);
  const blast = await drop(bomber, 'all');
  clearInterval(timer);
  const [rssMiB, anonymousMiB] = [Math.round(rssBytes / MIB), Math.round(anonymousBytes / MIB)];
  return { name, blast, rssMiB, anonymousMiB, before, during: agents.takeTimes() };
}

/** The generator is a process of its own, with its bombs ready. */
async function withBomber<T>(task: BomberTask, use: (bomber: ChildProcess) => Promise<T>): Promise<T> {
  const program = join(import.meta.dirname, 'bombs/bomber.ts');
  const bomber = fork(program, [JSON.stringify(task)], { serialization: 'advanced' });
  try {
    await once(bomber, 'message');
    return await use(bomber);
  } finally {
    bomber.kill();
  }
}

async function drop(bomber: ChildProcess, order: BomberOrder): Promise<Blast> {
  bomber.send(order);
  const [blast] = (await once(bomber, 'message')) as [Blast]; // it sends nothing else now
  return blast;
}

function describeBlast({ outcomes, refusedMs, busyRatio }: Blast): string[] {
  return [describeCounts(outcomes), describeTimes(refusedMs, [0.5, 0.99, 1]), `${Math.round(100 * busyRatio)} %`];
}

function describeTimes(timesMs: readonly number[], ratios: readonly number[]): string {
  return timesMs.length === 0 ? 'none' : ratios.map((ratio) => quantile(timesMs, ratio).toFixed(1)).join(' / ');
}

/** Compares the worst kind with each figure, and prints both. */
function judge(singles: ReadonlyMap<string, Blast>, damages: readonly Damage[]): boolean {
  const refusals = [...singles].map(([name, { refusedMs }]) => [name, quantile(refusedMs, 1)] as const);
  const loaded = damages.map(({ name, blast }) => [name, quantile(blast.refusedMs, 1)] as const);
  const memory = damages.map(({ name, rssMiB }) => [name, rssMiB] as const);
  const slower = damages.map(
    ({ name, before, during }) => [name, quantile(during, 0.99) / quantile(before, 0.99)] as const,
  );
  return [
    compare(`one at a time, each refused within ${REFUSED_MS_MAX} ms`, refusals, REFUSED_MS_MAX),
    compare(`all at once, each refused within ${REFUSED_MS_MAX} ms`, loaded, REFUSED_MS_MAX),
    compare(`RSS +${RSS_MIB_MAX} MiB at most`, memory, RSS_MIB_MAX),
    compare(`agents' p99 at most ${AGENTS_RATIO_MAX} times as long`, slower, AGENTS_RATIO_MAX),
  ].every((isHeld) => isHeld);
}

/** A kind of which nothing was measured counts as none. */
function compare(figure: string, kinds: readonly (readonly [name: string, value: number])[], max: number): boolean {
  const known = kinds.filter(([, value]) => !Number.isNaN(value)).toSorted(([, a], [, b]) => b - a);
  const missed = known.filter(([, value]) => value > max).length;
  const [name, value] = known[0] ?? ['nothing measured', Number.NaN];
  const verdict = missed === 0 ? 'held' : `MISSED by ${missed} of ${known.length} kinds`;
  console.log(`${figure}: ${verdict}; most: ${value.toFixed(1)} (${name})`);
  return known.length > 0 && missed === 0;
}

await runCommand({
  usage: `bombs: sends what is small and heavy, and connections that say nothing more, to a collector with agents; proves that each
is refused within ${REFUSED_MS_MAX} ms, one at a time and all at once, that the collector takes ${RSS_MIB_MAX} MiB more at most, and that the pushes of
the agents take at most ${AGENTS_RATIO_MAX} times as long at the 99th percentile

  node scripts/bombs.ts --only zstd`,
  options: OPTIONS,
  prove,
});
