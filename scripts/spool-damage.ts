import { describeError } from '@muster/proto/log';
import { formatOptions, parseOptions, type Option } from '@muster/proto/options';
import { err, ok, type Result } from '@muster/proto/result';

import { damageSpool } from '../agent/testing/damage.ts';
import { seededRandom } from './random.ts';

const USAGE = `spool-damage: flips bits in the spools of agents, tears off their ends, and counts what comes out

  node scripts/spool-damage.ts [options]`;

const OPTIONS = {
  rounds: {
    placeholder: 'N',
    help: 'spools to damage (default 10000)',
    default: 10_000,
    parse: parseCount,
  } satisfies Option<number>,
  seed: {
    placeholder: 'N',
    help: 'chance that can be had again (default 7)',
    default: 7,
    parse: parseCount,
  } satisfies Option<number>,
};

function parseCount(text: string): Result<number, string> {
  return /^\d{1,9}$/.test(text) ? ok(Number(text)) : err('a whole number');
}

/** Exit code 1: an intact record was not delivered, or something was delivered that was never written, or miscounted. */
function main(): number {
  const argv = process.argv.slice(2);
  if (argv.includes('--help')) {
    process.stdout.write(formatOptions(USAGE, OPTIONS));
    return 0;
  }
  const options = parseOptions(OPTIONS, { argv, env: process.env, readFile: () => '' });
  if (!options.ok) {
    for (const fault of options.error) console.error(fault);
    return 2;
  }
  const { rounds, seed } = options.value;
  const sum = { notStarted: 0, written: 0, hit: 0, intactNotDelivered: 0, wrong: 0, exact: 0, inexact: 0, blind: 0 };
  for (let round = 0; round < rounds; round += 1) {
    try {
      const result = damageSpool(seededRandom(seed, round));
      sum.written += result.written;
      sum.hit += result.hit;
      sum.intactNotDelivered += result.intactNotDelivered;
      sum.wrong += result.wrong;
      if (result.isBlind) sum.blind += 1;
      else if (result.counted === result.lost) sum.exact += 1;
      else sum.inexact += 1;
    } catch (cause) {
      sum.notStarted += 1;
      console.error(`seed ${seed}, round ${round}: ${describeError(cause)}`);
    }
  }
  console.log(`${rounds} spools damaged, ${sum.written} records, ${sum.hit} of them hit
did not start          ${sum.notStarted}
intact, not delivered  ${sum.intactNotDelivered}
delivered altered      ${sum.wrong}
losses counted exactly ${sum.exact}, not exactly ${sum.inexact}, where the count itself was hit ${sum.blind}`);
  return sum.notStarted + sum.intactNotDelivered + sum.wrong + sum.inexact === 0 ? 0 : 1;
}

process.exitCode = main();
