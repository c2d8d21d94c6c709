import { statSync } from 'node:fs';
import { join } from 'node:path';

import { describeError } from '@muster/proto/log';
import { INGEST_PATH } from '@muster/proto/push';

import type { Config } from '../config.ts';
import { openHttpClient, readBody, type HttpClient } from '../http-client.ts';
import { findHolder } from '../lock.ts';
import { post } from '../post.ts';
import { describeRefusal } from '../reply.ts';
import { SOURCE_NAMES, SOURCES } from '../sources.ts';
import { readIdentity, type Identity } from '../state.ts';
import { readConfig, type Command } from './command.ts';
import { survey, type Surveyed } from './survey.ts';

const USAGE = 'muster-agent doctor [options]: says what the agent can and cannot see of this host, and what to do';
const ANSWER_MS_MAX = 5_000;
const ANSWER_BYTES_MAX = 64 * 1024;
/** The service manager gives it to the agent, by its unit; nobody else does. */
const SERVICE_TOKEN_PATH = 'etc/muster/token';

/** `isRight` null: it is off, or there is nothing of the kind here. */
type Finding = { readonly isRight: boolean | null; readonly what: string; readonly lines: readonly string[] };

/** Says what the agent can and cannot see and why. 1 when something that is on cannot be had. */
export const DOCTOR: Command = {
  summary: 'say what the agent can and cannot see of this host, and what to do',
  run: async (input) => {
    const config = readConfig(USAGE, input);
    if (typeof config === 'number') return config;
    const surveyed = await survey(config);
    const sources = SOURCE_NAMES.map((name) => describeSource(name, surveyed.find((one) => one.name === name) ?? null));
    const client = openHttpClient(config, { keepMs: ANSWER_MS_MAX, connections: 1 });
    const findings = [await askCollector(config, client), await findWhoWeAre(config, client), ...sources];
    client.close();
    const other = findOtherUser(config);
    if (other !== null) findings.unshift(other);
    for (const { isRight, what, lines } of findings) {
      input.write(`${isRight === null ? '  --' : isRight ? '  ok' : 'FAIL'}  ${what}\n`);
      for (const line of lines) input.write(`      ${line}\n`);
    }
    return findings.some(({ isRight }) => isRight === false) ? 1 : 0;
  },
};

function describeSource(name: (typeof SOURCE_NAMES)[number], surveyed: Surveyed | null): Finding {
  const { title } = SOURCES[name];
  if (surveyed === null)
    return { isRight: null, what: `${name}: ${title}: off (sources.${name} switches it on)`, lines: [] };
  const { reading, cost, findings } = surveyed;
  const lines = findings.map(({ what, next }) => (next === undefined ? what : `${what}: ${next}`));
  if (!reading.ok) return { isRight: false, what: `${name}: ${title}: ${reading.error}`, lines };
  const { samples, remark } = reading.value;
  const took = `${samples.length} series, ${cost.cpuMs.toFixed(1)} ms of CPU`;
  return {
    isRight: samples.length > 0 ? true : null,
    what: `${name}: ${title}: ${took}`,
    lines: remark === undefined ? lines : [remark, ...lines],
  };
}

/** Whether there is a collector where one should be. */
async function askCollector({ url }: Config, client: HttpClient): Promise<Finding> {
  try {
    const signal = AbortSignal.timeout(ANSWER_MS_MAX);
    const { status, body } = await client.request({ method: 'GET', path: '/healthz', signal });
    await readBody(body, ANSWER_BYTES_MAX);
    const isRight = status === 200;
    const what = isRight ? 'answers' : `answers with ${status}, as no collector does: url names another address`;
    return { isRight, what: `collector: ${url} ${what}`, lines: [] };
  } catch (cause) {
    const lines = ['what is sampled waits on the disk; start the collector, or name another address by url'];
    return { isRight: false, what: `collector: ${url} does not answer: ${describeError(cause)}`, lines };
  }
}

async function findWhoWeAre({ stateDirectory, token, root }: Config, client: HttpClient): Promise<Finding> {
  try {
    const identity = readIdentity(stateDirectory);
    if (identity !== null) return await askWhetherTaken(identity, client);
    const what = `identity: this host has not joined a collector yet (${stateDirectory})`;
    if (token.ok) return { isRight: true, what, lines: ['it will with its enrolment token'] };
    const path = join(root, SERVICE_TOKEN_PATH);
    if (isFilled(path)) return { isRight: true, what, lines: [`the service will with the enrolment token in ${path}`] };
    return { isRight: false, what, lines: [token.error] };
  } catch (cause) {
    return { isRight: false, what: `identity: ${describeError(cause)}`, lines: [] };
  }
}

/** A body of a kind that no collector takes from anyone: nothing comes of it but whether it would take one from this host. */
async function askWhetherTaken({ host, token }: Identity, client: HttpClient): Promise<Finding> {
  const answer = await post(client, {
    path: INGEST_PATH,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'text/plain' },
    body: '',
    deadlineMs: ANSWER_MS_MAX,
    signal: new AbortController().signal,
  });
  const what = `identity: this host is ${host}`;
  if (answer.kind === 'unreachable') return { isRight: true, what, lines: [] };
  const { status, body } = answer;
  if (status === 415) return { isRight: true, what: `${what}, and the collector takes what it sends`, lines: [] };
  return { isRight: false, what: `${what}, but: ${describeRefusal(status, body)}`, lines: [] };
}

function isFilled(path: string): boolean {
  try {
    return statSync(path).size > 1; // an end of line is none
  } catch {
    return false;
  }
}

/** What the agent that runs sees may be less, or more. */
function findOtherUser({ stateDirectory }: Config): Finding | null {
  try {
    const holder = findHolder(stateDirectory);
    if (holder === null || statSync(`/proc/${holder}`).uid === process.getuid?.()) return null;
    const what = `rights: the agent that runs (process ${holder}) is of another user: what follows is what you see`;
    const lines = [
      'what it cannot see is in its log, as source.incomplete and source.failed (journalctl -u muster-agent, or /var/log/muster-agent.log)',
    ];
    return { isRight: null, what, lines };
  } catch {
    return null; // it has ended
  }
}
