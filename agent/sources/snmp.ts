import { parseCount, splitLines } from '../read-text.ts';

/**
 * Counts of one protocol in `/proc/net/snmp` or `/proc/net/netstat`: two lines that begin with its name, names and values.
 * Source: kernel document networking/snmp_counter.
 */
export function parseSnmp(text: string, protocol: string): ReadonlyMap<string, number> {
  const [names = [], values = []] = splitLines(text)
    .filter((line) => line.startsWith(`${protocol}: `))
    .map((line) => line.split(' ').slice(1));
  const fields = new Map<string, number>();
  for (const [i, field] of names.entries()) {
    const value = parseCount(values[i]);
    if (value !== null) fields.set(field, value);
  }
  return fields;
}
