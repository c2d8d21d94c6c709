import { parseSwitch, parseText } from '@muster/proto/options';
import { err, ok, type Result } from '@muster/proto/result';
import * as v from 'valibot';

// The kinds of values that a configuration file may hold. Each message completes the sentence "… must be".

/** Stands in an issue for what was written, where that may be a secret. */
export const HIDDEN = Symbol('hidden');

/** A word or a number, read by `parse`, which says what would be right. A fault of one that is a secret does not show it. */
export function scalar<T>(parse: (text: string) => Result<T, string>, { isSecret = false } = {}) {
  return v.pipe(
    v.unknown(),
    v.rawTransform<unknown, T>(({ dataset, addIssue, NEVER }) => {
      const parsed = isScalar(dataset.value) ? parse(String(dataset.value)) : err(`${WORD}, not a list or a map`);
      if (parsed.ok) return parsed.value;
      addIssue({ message: parsed.error, ...(isSecret ? { input: HIDDEN } : {}) });
      return NEVER;
    }),
  );
}

const WORD = 'one word or number';

export function isScalar(value: unknown): value is string | number | boolean {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}

/** A text that is not empty. */
export const text = scalar(parseText);
/** `true` or `false`. */
export const flag = scalar(parseSwitch);

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `1500ms`, `5s`, `2m`, `12h`, `30d`, as milliseconds. */
export function parseTime(minMs: number, maxMs: number): (text: string) => Result<number, string> {
  return (written) => {
    const match = /^(\d{1,9})(ms|s|m|h|d)$/.exec(written);
    const timeMs = Number(match?.[1]) * (UNITS_MS[match?.[2] ?? ''] ?? NaN);
    const isRight = timeMs >= minMs && timeMs <= maxMs; // false for NaN
    return isRight
      ? ok(timeMs)
      : err(`a time from ${formatTime(minMs)} to ${formatTime(maxMs)}, such as ${formatTime(minMs)}`);
  };
}

/** In the largest unit that it is a whole number of. */
export function formatTime(timeMs: number): string {
  const units = Object.entries(UNITS_MS).toReversed();
  const [unit, unitMs] = units.find(([, one]) => timeMs % one === 0) ?? ['ms', 1];
  return `${timeMs / unitMs}${unit}`;
}

export function time(minMs: number, maxMs: number) {
  return scalar(parseTime(minMs, maxMs));
}

/** `2%`, `0.5%`, as a ratio. */
export function percent(max: number) {
  return scalar((written) => {
    const match = /^(\d{1,3}(?:\.\d{1,3})?)\s?%$/.exec(written);
    const value = Number(match?.[1]);
    return value > 0 && value <= max ? ok(value / 100) : err(`a share up to ${max}%, such as 1%`);
  });
}

export function count(min: number, max: number) {
  return scalar((written) =>
    /^\d{1,15}$/.test(written) && Number(written) >= min && Number(written) <= max
      ? ok(Number(written))
      : err(`a whole number from ${min} to ${max}`),
  );
}

export function choice<const T extends string>(words: readonly T[]) {
  return scalar((written) => {
    const found = words.find((word) => word === written);
    return found === undefined ? err(words.join(' or ')) : ok(found);
  });
}

/** Of values of one kind. */
export function list<S extends v.GenericSchema>(schema: S) {
  return v.array(schema, 'a list');
}

/** With these keys and no others; of those that are too many, each is a fault. */
export function map<E extends v.ObjectEntries>(entries: E) {
  const object = v.objectWithRest(entries, v.never(Object.keys(entries).join(', ')), 'a map');
  // valibot takes a list for an object with numbers for names.
  return v.pipe(
    v.custom<unknown>((input) => !Array.isArray(input), 'a map'),
    object,
  );
}

/** A path from the root on. */
export const absolutePath = scalar((written) =>
  written.startsWith('/') ? ok(written) : err('a path that begins with /'),
);
