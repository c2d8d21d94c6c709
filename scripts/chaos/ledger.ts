import { appendFileSync, readFileSync } from 'node:fs';

/**
 * What an agent has done with each tick, in a file that outlives it: `sampled`, `taken` (it is in the spool), `stored`
 * (the collector has acknowledged it). A line is written after the fact, but for `stored`, which comes before the agent
 * forgets the tick: after a kill the ledger may know less than is true of the first two, and never more.
 */
export type Fact = 'sampled' | 'taken' | 'stored';

export type Ledger = Readonly<Record<Fact, ReadonlySet<number>>>;

export function writeFact(path: string, fact: Fact, ticksMs: readonly number[]): void {
  if (ticksMs.length > 0) appendFileSync(path, `${fact} ${ticksMs.join(' ')}\n`);
}

/** A last line that a kill has cut short is left out. */
export function readLedger(path: string): Ledger {
  const ledger = { sampled: new Set<number>(), taken: new Set<number>(), stored: new Set<number>() };
  for (const line of readFileSync(path, 'utf8').split('\n').slice(0, -1)) {
    const [fact, ...ticks] = line.split(' ');
    if (fact !== 'sampled' && fact !== 'taken' && fact !== 'stored') throw new Error(`Cannot read ${path}: ${line}`);
    for (const tick of ticks) ledger[fact].add(Number(tick));
  }
  return ledger;
}
