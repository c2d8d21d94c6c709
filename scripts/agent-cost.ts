import { existsSync } from 'node:fs';

import { parseSwitch, type Option, type Values } from '@muster/proto/options';
import { err, ok, type Result } from '@muster/proto/result';

import { figuresAt, formatTable, isWithin } from './agent-cost/figures.ts';
import { measureCosts } from './agent-cost/run.ts';
import { numberOption, runCommand, say } from './command.ts';

function parseFile(text: string): Result<string, string> {
  return existsSync(text) ? ok(text) : err('a file that is there');
}

const OPTIONS = {
  seconds: numberOption({ unit: 'S', help: 'how long to measure', default: 120, min: 5 }),
  warmUp: numberOption({ unit: 'S', help: 'how long to let all of them run before', default: 30 }),
  interval: numberOption({ unit: 'S', help: 'how often the agent samples', default: 1, min: 1, max: 60 }),
  agent: {
    placeholder: 'FILE',
    help: 'the agent to run, a binary (default agent/main.ts of this checkout)',
    default: null,
    parse: parseFile,
  } as Option<string | null>,
  config: {
    placeholder: 'FILE',
    help: 'a configuration file for the agent (default none)',
    default: null,
    parse: parseFile,
  } as Option<string | null>,
  alone: {
    help: 'the agent alone, nothing beside it',
    default: false,
    parse: parseSwitch,
  } as Option<boolean>,
};

async function prove({ seconds, warmUp, interval, agent, config, alone }: Values<typeof OPTIONS>): Promise<boolean> {
  const everyMs = 1_000 * interval;
  const costs = await measureCosts({
    agent,
    config,
    everyMs,
    warmUpMs: 1_000 * warmUp,
    measuredMs: 1_000 * seconds,
    hasPeers: !alone,
    say,
  });
  const figures = figuresAt({ everyMs, ageMs: 1_000 * (warmUp + seconds) });
  const [own] = costs;
  if (own === undefined) throw new Error('Cannot judge: nothing was measured');
  console.log(`${seconds} s after ${warmUp} s of warming up, at a sample every ${interval} s\n`);
  console.log(formatTable(figures, costs));
  if (own.started === null) console.log('\nWhat was started is counted in a PID namespace, which only root can make.');
  return isWithin(figures, own);
}

await runCommand({
  usage: `agent-cost: measures what an agent takes of its host and its line, beside node_exporter, scraped as often as the agent
samples, and netdata, where Debian's packages are installed; proves that the agent keeps to what is required of it. What is required of
its memory is meant after ten minutes: --warm-up 480 --seconds 120.

  node scripts/agent-cost.ts --interval 1 --seconds 120`,
  options: OPTIONS,
  prove,
});
