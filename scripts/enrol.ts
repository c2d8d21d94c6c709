import { ENROLL_PATH, readEnrollReply, type EnrollReply } from '@muster/proto/push';
import { isRecord } from '@muster/proto/record';

import { hashMachine } from '../agent/state.ts';

type Collector = { readonly origin: string; readonly key: string };

/** A token that lets so many hosts join, for an hour. */
export async function createEnrolmentToken({ origin, key }: Collector, hosts = 1): Promise<string> {
  const response = await fetch(`${origin}/api/v1/enrolment-tokens`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${key}` },
    body: JSON.stringify({ hosts, validMs: 3_600_000 }),
  });
  const reply: unknown = await response.json();
  if (!isRecord(reply) || typeof reply['token'] !== 'string')
    throw new Error(`Cannot create an enrolment token: the collector answers ${response.status}`);
  return reply['token'];
}

/** Hosts that join at once: more would be more connections of unknown callers than a collector bears. */
export const ENROLMENTS_AT_ONCE = 100;

/** Lets a host join as an agent does, a machine for each name; by a token of its own if none is given. */
export async function enrolHost(collector: Collector, name: string, token?: string): Promise<EnrollReply> {
  const response = await fetch(`${collector.origin}${ENROLL_PATH}`, {
    method: 'POST',
    body: JSON.stringify({
      token: token ?? (await createEnrolmentToken(collector)),
      name,
      machine: hashMachine(name),
    }),
  });
  const reply = readEnrollReply(await response.json());
  if (reply === null) throw new Error(`Cannot enrol ${name}: the collector answers ${response.status}`);
  return reply;
}

/** By the names that hosts asked for. */
export type Identities = ReadonlyMap<string, EnrollReply>;

/** Lets hosts join, as many at once as may. */
export async function enrolAll(collector: Collector, names: readonly string[]): Promise<Identities> {
  const identities = new Map<string, EnrollReply>();
  for (let at = 0; at < names.length; at += ENROLMENTS_AT_ONCE) {
    const some = names.slice(at, at + ENROLMENTS_AT_ONCE);
    const token = await createEnrolmentToken(collector, some.length);
    await Promise.all(some.map(async (name) => identities.set(name, await enrolHost(collector, name, token))));
  }
  return identities;
}
