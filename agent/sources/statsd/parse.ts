/** `c` counter, `g` gauge, `ms` timer, `h` histogram, `d` distribution, `s` set. */
export type StatsdType = 'c' | 'g' | 'ms' | 'h' | 'd' | 's';
const TYPES: ReadonlySet<string> = new Set(['c', 'g', 'ms', 'h', 'd', 's']);

/** One line. `values` are as written; `weight`: for how many values each one stands, 1 where all were sent. */
export type StatsdLine = {
  readonly name: string;
  readonly type: StatsdType;
  readonly values: readonly string[];
  readonly weight: number;
  /** As written, `key:value,key`; '' for none. */
  readonly tags: string;
};

/** A sample rate below this makes one value stand for more than a service does. */
const RATE_MIN = 1e-6;

/**
 * Reads `name:value|type`, with what DogStatsD adds: several values, `|@rate`, `|#tags`; what else it adds (a container's
 * id, a time, events, service checks) is passed over, or is no line. Sources: statsd/statsd, docs/metric_types.md; Datadog
 * documentation, DogStatsD datagram format, protocol versions 1.0 to 1.3.
 */
export function parseStatsdLine(line: string): StatsdLine | null {
  const [head = '', type = '', ...more] = line.split('|');
  const [name = '', ...values] = head.split(':');
  if (!isType(type) || name === '' || values.length === 0) return null;
  let weight = 1;
  let tags = '';
  for (const part of more) {
    if (part.startsWith('#')) tags = part.slice(1);
    if (!part.startsWith('@')) continue;
    const rate = parseStatsdNumber(part.slice(1));
    if (rate === null || rate < RATE_MIN || rate > 1) return null;
    weight = 1 / rate;
  }
  return { name, type, values, weight, tags };
}

function isType(type: string): type is StatsdType {
  return TYPES.has(type);
}

/** A decimal number, perhaps with a sign and an exponent; null for anything else, such as `0x10`, `NaN` or one too large. */
export function parseStatsdNumber(text: string): number | null {
  if (text.length > 40 || !/^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?$/.test(text)) return null;
  const value = Number(text);
  return Number.isFinite(value) ? value : null;
}

/** `route:/a:b,debug` as pairs: a tag without a value is `true`. */
export function parseTags(text: string): readonly (readonly [key: string, value: string])[] {
  if (text === '') return [];
  return text
    .split(',')
    .filter((tag) => tag !== '')
    .map((tag) => {
      const colon = tag.indexOf(':');
      return colon === -1 ? ([tag, 'true'] as const) : ([tag.slice(0, colon), tag.slice(colon + 1)] as const);
    });
}
