import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { isRecord } from '@muster/proto/record';

import { startCollector } from '../scripts/start-collector.ts';

/** Hosts that an enrolment token lets in, and machines that try. */
const HOSTS = 12;
const MACHINES = Array.from({ length: 30 }, (_, i) => String(i).padStart(64, '0'));

/** The collector as a process of its own. */
async function start(data: string) {
  const program = await startCollector({ data });
  const ask = async (method: string, path: string, body: object | null): Promise<[number, Record<string, unknown>]> => {
    const response = await fetch(`${program.origin}${path}`, {
      method,
      headers: { Authorization: `Bearer ${program.key}` },
      body: body === null ? null : JSON.stringify(body),
    });
    const reply: unknown = await response.json();
    return [response.status, isRecord(reply) ? reply : {}];
  };
  return { program, ask };
}

test('a collector that is killed while hosts join never lets in more, and each that it counted can join', async () => {
  const data = await mkdtemp(join(tmpdir(), 'muster-enrolment-'));
  let running = await start(data);
  const [, { token }] = await running.ask('POST', '/api/v1/enrolment-tokens', { hosts: HOSTS });
  const joinAs = async (machine: string): Promise<number> => {
    const [status] = await running.ask('POST', '/api/v1/enroll', { token, name: 'web', machine });
    return status;
  };
  for (const afterAnswers of [1, 2, 4]) {
    let answers = 0;
    const killed = MACHINES.map(async (machine) => {
      await joinAs(machine);
      answers += 1;
      if (answers === afterAnswers) running.program.kill();
    });
    await Promise.allSettled(killed);
    await running.program.exited;
    expect(answers).toBeGreaterThanOrEqual(afterAnswers);
    running = await start(data);
  }
  const statuses = await Promise.all(MACHINES.map(joinAs));
  expect(statuses.filter((status) => status === 201).length).toBe(HOSTS);
  expect(statuses.filter((status) => status === 401).length).toBe(MACHINES.length - HOSTS);
  const [, { hosts }] = await running.ask('GET', '/api/v1/hosts', null);
  expect(Array.isArray(hosts) ? hosts.length : 0).toBe(HOSTS);
  await running.program.stop();
  await rm(data, { recursive: true });
});
