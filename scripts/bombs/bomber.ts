import { once } from 'node:events';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';

import { STRANGERS_MAX } from '../../collector/http/strangers.ts';
import { countIn } from '../tally.ts';
import { openWire, type Wire } from '../wire.ts';
import { makeBombs, writeHead, type Bomb } from './kinds.ts';
import { openSlowSockets, type Refusals, type SlowSockets } from './slow-sockets.ts';

/** `tokens`: of the hosts that send, in turn. */
export type BomberTask = { readonly name: string; readonly port: number; readonly tokens: readonly string[] };

/** `one`: one after the other. `all`: as many at once as there are connections, or slow sockets. */
export type BomberOrder = 'one' | 'all';

/** `busyRatio`: the share of the time, pauses included, in which this process was busy, and not the collector. */
export type Blast = Refusals & { readonly busyRatio: number };

const SINGLES = 50;
/** So many at once, each on a connection of its own, again and again. */
const CONNECTIONS = 200;
const BURSTS = 10;
/** Between two bursts: the collector commits, and its agents get their answers. */
const PAUSE_MS = 200;
const SLOW_SOCKETS = 10_000;
/**
 * So many slow sockets are opened at a time, 5,000 a second. Faster, they would overflow the 511 places before the
 * collector accepts them, and the kernel would try again only after a second.
 */
const OPENING = 50;
const OPENING_MS = 10;
/** How long slow sockets are watched once all are open; how long it is waited for the end of a single one. */
const HELD_MS = 3_000;
const HELD_ONE_MS = 200;

type Blaster = (order: BomberOrder) => Promise<Refusals>;

/** Makes everything ready; the result sends it. */
async function prepare(bomb: Bomb, { port, tokens }: BomberTask): Promise<Blaster> {
  if (bomb.kind === 'slow') {
    const open = (): SlowSockets => openSlowSockets(port, bomb.write(tokens[0] ?? ''), bomb.refusal);
    const borne = bomb.refusal === 'cut' ? STRANGERS_MAX : 0;
    return (order) => (order === 'one' ? openOneByOne(open(), borne) : openAll(open()));
  }
  const body = await bomb.make();
  const requests = tokens.map((token) => [Buffer.from(writeHead(token, body.length, bomb.encoding)), body] as const);
  return (order) => (order === 'one' ? sendOneByOne(port, requests) : sendBursts(port, requests));
}

type Request = readonly Uint8Array[];

async function sendOneByOne(port: number, requests: readonly Request[]): Promise<Refusals> {
  const refusals = { outcomes: new Map<string, number>(), refusedMs: [] };
  const wire = openWire(port);
  for (let i = 0; i < SINGLES; i += 1) await send(wire, requests[i % requests.length] ?? [], refusals);
  wire.close();
  return refusals;
}

async function sendBursts(port: number, requests: readonly Request[]): Promise<Refusals> {
  const refusals = { outcomes: new Map<string, number>(), refusedMs: [] };
  const wires = Array.from({ length: CONNECTIONS }, () => openWire(port));
  for (let burst = 0; burst < BURSTS; burst += 1) {
    await Promise.all(wires.map((wire, i) => send(wire, requests[i % requests.length] ?? [], refusals)));
    await sleep(PAUSE_MS);
  }
  for (const wire of wires) wire.close();
  return refusals;
}

/** What is taken, or cut off without a word, is not refused. */
async function send(wire: Wire, request: Request, { outcomes, refusedMs }: Refusals): Promise<void> {
  const answer = await wire.ask(request);
  refusedMs.push(answer === null || answer.status < 400 ? Infinity : answer.waitedMs);
  countIn(outcomes, String(answer?.status ?? 'cut'));
}

/** One by one, beyond those that are borne. */
async function openOneByOne(sockets: SlowSockets, borne: number): Promise<Refusals> {
  await openMany(sockets, borne);
  for (let i = 0; i < SINGLES; i += 1) {
    const refused = sockets.nextRefusal();
    await sockets.open();
    await Promise.race([refused, sleep(HELD_ONE_MS)]);
  }
  return sockets.close();
}

async function openAll(sockets: SlowSockets): Promise<Refusals> {
  await openMany(sockets, SLOW_SOCKETS);
  await sleep(HELD_MS);
  return sockets.close();
}

async function openMany({ open }: SlowSockets, count: number): Promise<void> {
  for (let opened = 0; opened < count; opened += OPENING)
    await Promise.all([sleep(OPENING_MS), ...Array.from({ length: OPENING }, open)]);
}

/** Takes its task from the command line, says when it is ready, and then obeys one order after the other. */
async function main(): Promise<void> {
  const task = JSON.parse(process.argv[2] ?? '') as BomberTask; // written by bombs.ts
  const bomb = makeBombs().find(({ name }) => name === task.name);
  if (bomb === undefined) throw new Error(`There is no bomb of the name ${task.name}`);
  const blast = await prepare(bomb, task);
  process.on('message', (order: BomberOrder) => {
    const from = performance.eventLoopUtilization();
    void blast(order).then((refusals) =>
      process.send?.({ ...refusals, busyRatio: performance.eventLoopUtilization(from).utilization } satisfies Blast),
    );
  });
  process.send?.('ready');
  await once(process, 'disconnect');
  process.exit();
}

await main();
