import { parseCount, splitLines } from '../read-text.ts';

/** Lines of a name and a whole number, such as `pgfault 463149744` of /proc/vmstat; others are passed over. */
export function parseFields(text: string): ReadonlyMap<string, number> {
  const fields = new Map<string, number>();
  for (const line of splitLines(text)) {
    const space = line.indexOf(' ');
    const value = space > 0 ? parseCount(line.slice(space + 1)) : null;
    if (value !== null) fields.set(line.slice(0, space), value);
  }
  return fields;
}
