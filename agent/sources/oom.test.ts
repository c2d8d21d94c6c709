import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import fc from 'fast-check';
import { expect, test } from 'vitest';

import { anyTextLike } from '../testing/any-text.ts';
import { makeRoot } from '../testing/fixture.ts';
import { makeOomSource, parseVictims } from './oom.ts';

// Records as /dev/kmsg gives them; the text after dump_oom_summary of Linux 4.19 and on.
const GLOBAL =
  '6,1201,88213370,-;oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/system.slice/mysql.service,task=mysqld,pid=812,uid=110\n SUBSYSTEM=x\n';
const LIMITED =
  '6,1302,99213370,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/docker/0123,task_memcg=/docker/0123/init,task=a, b=(c),pid=4711,uid=0\n';

test('parseVictims() reads who was killed, and at whose limit', () => {
  expect(
    parseVictims(`6,1,0,-;Linux version 6.18\n${GLOBAL}${LIMITED}3,1303,1,-;Out of memory: Killed process 7 (x)\n`),
  ).toEqual([
    { seq: 1_201, name: 'mysqld', pid: '812', cgroup: null },
    { seq: 1_302, name: 'a, b=(c)', pid: '4711', cgroup: '/docker/0123' },
  ]);
});

test('parseVictims() never throws', () => {
  fc.assert(fc.property(anyTextLike(GLOBAL + LIMITED), (text) => void parseVictims(text)));
});

/** What the source says of a machine that has killed so many, whose log holds this. */
function startAt(kills: number, log: string | null) {
  const root = makeRoot({ 'proc/vmstat': `oom_kill ${kills}\n`, ...(log === null ? {} : { 'dev/kmsg': log }) });
  const source = makeOomSource({ root, now: () => 7 });
  const read = async () => {
    const reading = await source.read();
    if (!reading.ok) throw new Error(reading.error);
    return [reading.value.samples[0]?.value, reading.value.events ?? []];
  };
  return {
    read,
    kill: (total: number, text: string) => {
      writeFileSync(join(root, 'proc/vmstat'), `oom_kill ${total}\n`);
      if (log !== null) appendFileSync(join(root, 'dev/kmsg'), text);
      return read();
    },
  };
}

test('kills are told once, by name, and those before the agent started not at all', async () => {
  const machine = startAt(1, GLOBAL);
  expect(await machine.read()).toEqual([1, []]);
  expect(await machine.read()).toEqual([1, []]);
  const subject = 'a, b=(c) (pid 4711, at the limit of /docker/0123)';
  expect(await machine.kill(2, LIMITED)).toEqual([2, [{ kind: 'oom-kill', atMs: 7, subject }]]);
  expect(await machine.read()).toEqual([2, []]);
});

test('a kill that the log does not name is told all the same; a counter that falls is none', async () => {
  const machine = startAt(5, null);
  await machine.read();
  expect(await machine.kill(7, '')).toEqual([
    7,
    [
      { kind: 'oom-kill', atMs: 7 },
      { kind: 'oom-kill', atMs: 7 },
    ],
  ]);
  expect(await machine.kill(0, '')).toEqual([0, []]);
  expect((await machine.kill(1_000, ''))[1]).toHaveLength(10);
});

test('a pipe in the place of the log holds nothing up, and doctor says what cannot be told', async () => {
  const root = makeRoot({ 'proc/vmstat': 'oom_kill 3\n' });
  mkdirSync(join(root, 'dev'));
  execFileSync('mkfifo', [join(root, 'dev/kmsg')]);
  expect(await makeOomSource({ root, now: () => 7 }).read()).toMatchObject({ ok: true });
  const findings = await makeOomSource({ root: makeRoot({}), now: () => 7 }).diagnose?.();
  expect(findings?.map(({ what }) => what)).toEqual([
    'whom the kernel killed cannot be told, only that it did: dev/kmsg may not be read',
  ]);
});

test('an old kernel says that it does not count them', async () => {
  const reading = await makeOomSource({ root: makeRoot({ 'proc/vmstat': 'pgfault 1\n' }), now: () => 7 }).read();
  expect(reading).toEqual({ ok: false, error: 'proc/vmstat has no oom_kill: the kernel is older than 4.13' });
});
