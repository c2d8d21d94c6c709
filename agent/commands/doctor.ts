import { describeError } from '@muster/proto/log';

import type { Config } from '../config.ts';
import { openHttpClient, readBody } from '../http-client.ts';
import { SOURCE_NAMES, SOURCES } from '../sources.ts';
import { readIdentity } from '../state.ts';
import { readConfig, type Command } from './command.ts';
import { survey, type Surveyed } from './survey.ts';

const USAGE = 'muster-agent doctor [options]: says what the agent can and cannot see of this host, and what to do';
const ANSWER_MS_MAX = 5_000;
const ANSWER_BYTES_MAX = 64 * 1024;

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
    const findings = [await askCollector(config), findWhoWeAre(config), ...sources];
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
async function askCollector({ url }: Config): Promise<Finding> {
  const client = openHttpClient({ url }, { keepMs: ANSWER_MS_MAX, connections: 1 });
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
  } finally {
    client.close();
  }
}

function findWhoWeAre({ stateDirectory, token }: Config): Finding {
  try {
    const identity = readIdentity(stateDirectory);
    if (identity !== null) return { isRight: true, what: `identity: this host is ${identity.host}`, lines: [] };
    const what = `identity: this host has not joined a collector yet (${stateDirectory})`;
    return { isRight: token.ok, what, lines: token.ok ? ['it will with its enrolment token'] : [token.error] };
  } catch (cause) {
    return { isRight: false, what: `identity: ${describeError(cause)}`, lines: [] };
  }
}
