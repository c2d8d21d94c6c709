import { statSync } from 'node:fs';
import { join } from 'node:path';

import { describeError } from '@muster/proto/log';
import { INGEST_PATH } from '@muster/proto/push';

import type { Config } from '../config.ts';
import { openHttpClient, readBody, type HttpClient } from '../http-client.ts';
import { findHolder } from '../lock.ts';
import { post } from '../post.ts';
import { describeRefusal } from '../reply.ts';
import { readIdentity, type Identity } from '../state.ts';
import { readConfig, type Command } from './command.ts';

const USAGE =
  'muster-agent status [options]: says whether the agent of this host runs, and whether its collector takes what it sends';
const ANSWER_MS_MAX = 5_000;
const ANSWER_BYTES_MAX = 64 * 1024;
/** The service manager gives it to the agent, by its unit; nobody else does. */
const SERVICE_TOKEN_PATH = 'etc/muster/token';

/** `isRight` null: it is off, not known yet, or there is nothing of the kind here. */
export type Finding = { readonly isRight: boolean | null; readonly what: string; readonly lines: readonly string[] };

/** Says whether what this host sees arrives. 1 where it does not, or not yet. */
export const STATUS: Command = {
  summary: 'say whether the agent runs, and whether its collector takes what it sends',
  run: async (input) => {
    const config = readConfig(USAGE, input);
    if (typeof config === 'number') return config;
    const findings = [findAgent(config), ...(await findLink(config))];
    writeFindings(findings, input.write);
    return findings.every(({ isRight }) => isRight === true) ? 0 : 1;
  },
};

export function writeFindings(findings: readonly Finding[], write: (text: string) => void): void {
  for (const { isRight, what, lines } of findings) {
    write(`${isRight === null ? '  --' : isRight ? '  ok' : 'FAIL'}  ${what}\n`);
    for (const line of lines) write(`      ${line}\n`);
  }
}

function findAgent({ stateDirectory }: Config): Finding {
  const holder = findHolder(stateDirectory);
  if (holder !== null) return { isRight: true, what: `agent: it runs (process ${holder})`, lines: [] };
  return { isRight: false, what: `agent: none runs with the state directory ${stateDirectory}`, lines: [] };
}

/** The collector, and who this host is to it. */
export async function findLink(config: Config): Promise<readonly Finding[]> {
  const client = openHttpClient(config, { keepMs: ANSWER_MS_MAX, connections: 1 });
  try {
    return [await askCollector(config, client), await findWhoWeAre(config, client)];
  } finally {
    client.close();
  }
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
    if (token.ok) return { isRight: null, what, lines: ['it will with its enrolment token'] };
    const path = join(root, SERVICE_TOKEN_PATH);
    if (isFilled(path)) return { isRight: null, what, lines: [`the service will with the enrolment token in ${path}`] };
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
  if (answer.kind === 'unreachable') return { isRight: null, what, lines: [] };
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
