const KINDS = [
  'walk',
  'counter',
  'constant',
  'walk',
  'whole',
  'zero',
  'walk',
  'counter',
  'whole',
  'walk',
  'counter',
  'zero',
] as const;

/**
 * Gives one value after the other of a series like those of real hosts: a third are slow walks with two or three decimals,
 * a sixth whole numbers, a quarter counters, the rest constant or mostly zero.
 */
export function makeRealisticValue(series: number, random: () => number): () => number {
  // The sum of three is near enough to a normal one, of deviation 1.
  const drawStep = (): number => 2 * (random() + random() + random() - 1.5);
  const power = series % 2 === 0 ? 100 : 1_000;
  let value = Math.round(1_000 * random());
  switch (KINDS[series % KINDS.length]) {
    case 'walk':
      return () => Math.round((value += 0.05 * drawStep()) * power) / power;
    case 'whole':
      return () => Math.round((value += drawStep()));
    case 'counter':
      return () => (value += Math.round(1_000 * Math.abs(drawStep())));
    case 'constant':
      return () => value;
    default:
      return () => (drawStep() > 2.5 ? Math.round(10 * random()) : 0);
  }
}
