import { parseCount, splitLines } from '../read-text.ts';

/**
 * Lines of a name and a whole number, such as `pgfault 463149744` of /proc/vmstat or `MemFree:  1024 kB` of /proc/meminfo,
 * which is told in bytes: the kernel says kB and means 1,024 bytes. Others are passed over.
 */
export function parseFields(text: string): ReadonlyMap<string, number> {
  const fields = new Map<string, number>();
  for (const line of splitLines(text)) {
    const match = /^(\w+):? +(\d+)( kB)?$/.exec(line);
    const value = parseCount(match?.[2]);
    if (match?.[1] !== undefined && value !== null) fields.set(match[1], match[3] === undefined ? value : value * 1024);
  }
  return fields;
}

const DIGITS_MAX = 20;

/**
 * The first number of the line that begins with a name, of a text of many lines of which one is wanted; null when it is not
 * there in full. More may follow: the line of interrupts of /proc/stat has one for each kind, thousands of them.
 */
export function findCount(text: string, name: string): number | null {
  const isFirst = text.startsWith(`${name} `);
  const before = isFirst ? -1 : text.indexOf(`\n${name} `);
  if (before === -1 && !isFirst) return null;
  const start = before + name.length + 2;
  return parseCount(/^\d+(?=[ \n])/.exec(text.slice(start, start + DIGITS_MAX + 1))?.[0]);
}
