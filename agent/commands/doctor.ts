import { statSync } from 'node:fs';

import type { Config } from '../config.ts';
import { findHolder } from '../lock.ts';
import { SOURCE_NAMES, SOURCES } from '../sources.ts';
import { readConfig, type Command } from './command.ts';
import { findLink, writeFindings, type Finding } from './status.ts';
import { survey, type Surveyed } from './survey.ts';

const USAGE = 'muster-agent doctor [options]: says what the agent can and cannot see of this host, and what to do';

/** Says what the agent can and cannot see and why. 1 when something that is on cannot be had. */
export const DOCTOR: Command = {
  summary: 'say what the agent can and cannot see of this host, and what to do',
  run: async (input) => {
    const config = readConfig(USAGE, input);
    if (typeof config === 'number') return config;
    const surveyed = await survey(config);
    const sources = SOURCE_NAMES.map((name) => describeSource(name, surveyed.find((one) => one.name === name) ?? null));
    const other = findOtherUser(config);
    const findings = [...(other === null ? [] : [other]), ...(await findLink(config)), ...sources];
    writeFindings(findings, input.write);
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
