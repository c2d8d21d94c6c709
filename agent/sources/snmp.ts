import { parseCount, splitLines } from '../read-text.ts';

/**
 * What the kernel counts of one protocol, by its names for it: two lines that begin with the same word, names, and their
 * values. Source: kernel document networking/snmp_counter, for /proc/net/snmp and /proc/net/netstat.
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

/** The same of IPv6: a line of a name and a value for each. Source: /proc/net/snmp6, net/ipv6/proc.c. */
export function parseSnmp6(text: string): ReadonlyMap<string, number> {
  const fields = new Map<string, number>();
  for (const line of splitLines(text)) {
    const [name = '', count] = line.split(/\s+/);
    const value = parseCount(count);
    if (value !== null) fields.set(name, value);
  }
  return fields;
}
