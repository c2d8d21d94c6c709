import { readFileSync } from 'node:fs';

import { describeError } from '@muster/proto/log';
import { formatOptions, parseOptions, type Option, type Options, type Values } from '@muster/proto/options';
import { err, ok } from '@muster/proto/result';

import { parseDuration } from './parse-duration.ts';

/** A program that proves something. `usage`: what that is, and how it is called. */
export type Command<O extends Options> = {
  readonly usage: string;
  readonly options: O;
  /** Whether it held. What it throws says why nothing can be said. */
  readonly prove: (options: Values<O>) => Promise<boolean>;
};

/** Runs a program and ends the process: with 0 if what it promises held, 1 if not, 2 after a wrong option. */
export async function runCommand<O extends Options>({ usage, options, prove }: Command<O>): Promise<void> {
  const values = readOptions(usage, options);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1)); // disks are unmounted
  const isProven = await prove(values).catch((cause: unknown) => {
    console.error(describeError(cause));
    return false;
  });
  process.exit(isProven ? 0 : 1);
}

/** The options that this process was started with. Ends it where they ask for help, or are wrong. */
export function readOptions<O extends Options>(usage: string, options: O): Values<O> {
  const argv = process.argv.slice(2);
  if (argv.includes('--help')) {
    process.stdout.write(formatOptions(usage, options));
    process.exit(0);
  }
  const values = parseOptions(options, { argv, env: process.env, readFile: (path) => readFileSync(path, 'utf8') });
  if (values.ok) return values.value;
  for (const fault of values.error) console.error(fault);
  process.exit(2);
}

export type NumberOption = {
  /** What stands for it in the help: its unit, if it has one. */
  readonly unit?: string;
  readonly help: string;
  readonly default: number;
  readonly min?: number;
  readonly max?: number;
  /** It may have decimals. */
  readonly isDecimal?: true;
};

/** An option that is a number from `min`, 0 by default, to `max`. */
export function numberOption({ unit = 'N', help, default: byDefault, ...limits }: NumberOption): Option<number> {
  const { min = 0, max = Number.MAX_SAFE_INTEGER, isDecimal } = limits;
  const pattern = isDecimal ? /^(\d+|\d*\.\d+)$/ : /^\d+$/;
  const kind = isDecimal ? 'a number' : 'a whole number';
  const range = limits.max === undefined ? `${kind} of ${min} or more` : `${kind} from ${min} to ${max}`;
  return {
    placeholder: unit,
    help: `${help} (default ${byDefault})`,
    default: byDefault,
    parse: (text) => (pattern.test(text) && Number(text) >= min && Number(text) <= max ? ok(Number(text)) : err(range)),
  };
}

/** An option that is a time, `minMs` or more, as people write it; in milliseconds. */
export function durationOption<T extends number | null>(help: string, byDefault: T, minMs: number): Option<number | T> {
  return {
    placeholder: 'TIME',
    help,
    default: byDefault,
    parse: (text) => {
      const ms = parseDuration(text);
      return ms === null || ms < minMs ? err(`a time of ${minMs / 1_000} s or more, as 30s, 5m, 2h or 30d`) : ok(ms);
    },
  };
}

/** What chance follows from, so that it can be had again. */
export const SEED = numberOption({ help: 'what chance follows from: the same again with the same', default: 7 });

/** Tells a person what happens, beside the figures. */
export function say(text: string): void {
  console.error(`${new Date().toISOString()} ${text}`);
}
