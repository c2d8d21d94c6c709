import { describeError } from '@muster/proto/log';

import { damageSpool } from '../agent/testing/damage.ts';
import { numberOption, runCommand, SEED } from './command.ts';
import { seededRandom } from './random.ts';

type Options = { readonly rounds: number; readonly seed: number };

async function prove({ rounds, seed }: Options): Promise<boolean> {
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
  return sum.notStarted + sum.intactNotDelivered + sum.wrong + sum.inexact === 0;
}

await runCommand({
  usage: `spool-damage: flips bits in the spools of agents and tears off their ends; proves that each starts all the same,
delivers every intact record and none that was never written, and counts exactly what it has lost

  node scripts/spool-damage.ts --rounds 10000`,
  options: {
    rounds: numberOption({ unit: 'SPOOLS', help: 'so many are damaged', default: 10_000, min: 1 }),
    seed: SEED,
  },
  prove,
});
