// One collator for all comparisons: making one for each takes longer than sorting.
const COLLATOR = new Intl.Collator('en', { numeric: true });

/** Compares two names, numbers in them by their value: `core 2` before `core 10`. */
export function compareNames(a: string, b: string): number {
  return COLLATOR.compare(a, b);
}
