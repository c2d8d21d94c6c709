import { readFileSync } from 'node:fs';

import { describeError } from '@muster/proto/log';
import {
  formatOptions,
  parseOptions,
  parseSwitch,
  type Option,
  type Options,
  type Values,
} from '@muster/proto/options';
import type { Result } from '@muster/proto/result';

export const JSON_OUT = {
  json: { help: 'print JSON, for programs', default: false, parse: parseSwitch } satisfies Option<boolean>,
};

/** What a program found or did: for programs, and for people. */
export type Answer = { readonly value: unknown; readonly text: string };

export type AskedProgram<O extends Options> = {
  readonly usage: string;
  readonly options: O;
  /** Rejects where it cannot be done; gives everything that is wrong with options that are right one by one. */
  readonly run: (values: Values<O>) => Promise<Result<Answer, readonly string[]>>;
};

/** Runs a program to its end. The exit code: 0 done, 1 could not or was cancelled, 2 wrongly asked. */
export async function runToEnd<O extends Options & typeof JSON_OUT>(
  { usage, options, run }: AskedProgram<O>,
  argv: readonly string[],
): Promise<number> {
  if (argv.includes('--help')) {
    process.stdout.write(formatOptions(usage, options));
    return 0;
  }
  const values = parseOptions(options, { argv, env: process.env, readFile });
  try {
    const answer = values.ok ? await run(values.value) : values;
    if (!answer.ok) {
      for (const fault of answer.error) process.stderr.write(`${fault}\n`);
      return 2;
    }
    const { value, text } = answer.value;
    const isJson = values.ok && values.value.json;
    process.stdout.write(`${isJson ? JSON.stringify(value, null, 2) : text}\n`);
    return 0;
  } catch (cause) {
    process.stderr.write(`${describeError(cause)}\n`);
    return 1;
  }
}

/** Aborts when this process is asked to end, with a reason that says so. */
export function followSignals(): AbortSignal {
  const cancelling = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => cancelling.abort(new Error(`asked to end by ${signal}`)));
  return cancelling.signal;
}

export function readFile(path: string): string {
  return readFileSync(path, 'utf8');
}
