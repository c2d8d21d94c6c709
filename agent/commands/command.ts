import { formatOptions } from '@muster/proto/options';

import { makeOptions, parseConfig, type Config, type ConfigInput } from '../config.ts';

export type CommandInput = ConfigInput & {
  /** What the machine calls itself. */
  readonly hostname: string;
  /** To the standard output, and to the standard error. */
  readonly write: (text: string) => void;
  readonly fail: (text: string) => void;
};

/** A command of `muster-agent`. Resolves with the exit code: 0 done, 1 could not, 2 wrongly asked or configured. */
export type Command = {
  readonly summary: string;
  readonly run: (input: CommandInput) => Promise<number>;
};

/** The configuration that a command works with, or the exit code when there is none: help was asked for, or it has faults. */
export function readConfig(usage: string, input: CommandInput): Config | number {
  if (input.argv.includes('--help')) {
    input.write(formatOptions(usage, makeOptions(input.hostname)));
    return 0;
  }
  const config = parseConfig(input, input.hostname);
  if (config.ok) return config.value;
  for (const fault of config.error) input.fail(`${fault}\n`);
  return 2;
}
