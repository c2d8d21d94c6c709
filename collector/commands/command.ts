import { join } from 'node:path';

import { describeError } from '@muster/proto/log';
import {
  formatOptions,
  isThisMachine,
  parseOrigin,
  parseSwitch,
  type Option,
  type Options,
  type OptionsInput,
  type Values,
} from '@muster/proto/options';
import { isRecord } from '@muster/proto/record';
import { err, ok, type Result } from '@muster/proto/result';

import { OPTIONS } from '../config.ts';

/** A collector that takes longer is treated as one that does not answer. */
export const ANSWER_MS_MAX = 15_000;

/** Which collector is asked, and how its answer is printed: options of every command. */
export const TARGET = {
  url: {
    env: 'MUSTER_URL',
    placeholder: 'URL',
    help: 'where the collector is (default http://127.0.0.1:7430)',
    default: 'http://127.0.0.1:7430',
    parse: parseOrigin,
  } satisfies Option<string>,
  data: {
    ...OPTIONS.data,
    help: "the collector's data directory, which holds the access key (default /var/lib/muster)",
  },
  key: {
    env: 'MUSTER_KEY',
    placeholder: 'KEY',
    help: 'the access key itself; as a flag every user of this machine can see it',
    secret: true,
    default: '',
    parse: parseKey,
  } satisfies Option<string>,
  insecureHttp: {
    env: 'MUSTER_INSECURE_HTTP',
    help: 'allow http to another machine: whoever is on the way reads the access key',
    default: false,
    parse: parseSwitch,
  } satisfies Option<boolean>,
  json: { help: 'print JSON, for programs', default: false, parse: parseSwitch } satisfies Option<boolean>,
};

export type Target = Values<typeof TARGET>;

/** What the collector is asked for. `describe` says its answer, which is what the route of this path gives. */
export type Question = {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  readonly body?: object;
  readonly describe: (answer: never, url: string) => string | Promise<string>;
};

/** A command that asks the running collector. `parse` is given what follows its name, and says every fault at once. */
export type Command = {
  readonly usage: string;
  readonly options: Options;
  readonly parse: (
    input: OptionsInput,
  ) => Result<{ readonly question: Question; readonly target: Target }, readonly string[]>;
};

export type CommandInput = OptionsInput & {
  /** To the standard output, and to the standard error. */
  readonly write: (text: string) => void;
  readonly fail: (text: string) => void;
};

/** Runs a command. Exit codes: 0 done, 1 could not, 2 wrongly asked. */
export async function runCommand(command: Command, input: CommandInput): Promise<number> {
  if (input.argv.includes('--help')) {
    input.write(formatOptions(command.usage, command.options));
    return 0;
  }
  const parsed = command.parse(input);
  const key = parsed.ok ? findKey(parsed.value.target, input.readFile) : parsed;
  if (!parsed.ok || !key.ok) {
    for (const fault of key.ok ? [] : key.error) input.fail(`${fault}\n`);
    return 2;
  }
  const { question, target } = parsed.value;
  const answer = await ask(question, target.url, key.value);
  if (!answer.ok) input.fail(`${answer.error}\n`);
  else if (target.json) input.write(`${JSON.stringify(answer.value, null, 2)}\n`);
  else input.write(`${await question.describe(answer.value, target.url)}\n`);
  return answer.ok ? 0 : 1;
}

/** The access key, if it may be sent to the target. */
export function findKey(target: Target, readFile: OptionsInput['readFile']): Result<string, readonly string[]> {
  const key = target.key === '' ? readKey(target.data, readFile) : ok(target.key);
  const faults = key.ok ? [] : [key.error];
  if (target.url.startsWith('http:') && !isThisMachine(target.url) && !target.insecureHttp)
    faults.push(
      `--url ${target.url} would send the access key in clear to another machine; use https, or say --insecure-http`,
    );
  return key.ok && faults.length === 0 ? key : err(faults);
}

function readKey(data: string, readFile: OptionsInput['readFile']): Result<string, string> {
  const file = join(data, 'access-key');
  try {
    const key = parseKey(readFile(file).trim());
    return key.ok ? key : err(`Cannot use ${file}: it does not hold an access key; --data names another directory`);
  } catch (cause) {
    return err(
      `Cannot read the access key: ${describeError(cause)}; name the data directory of the collector by --data, or set MUSTER_KEY or MUSTER_KEY_FILE`,
    );
  }
}

/** Asks the collector; its answer is taken as typed. The error says what to do. */
async function ask(question: Question, url: string, key: string): Promise<Result<never, string>> {
  const sent = await send(question, { url, key, signal: AbortSignal.timeout(ANSWER_MS_MAX) });
  if (!sent.ok) return sent;
  const content: unknown = await sent.value.json().catch(() => null);
  if (isRecord(content)) return ok(content as never); // what the route of this path answers
  return err(describeStranger(url, sent.value.status));
}

export type Address = { readonly url: string; readonly key: string; readonly signal: AbortSignal };

/** Sends a question; gives the answer when it begins, unless that is a refusal. The error says what to do. */
export async function send(
  { method, path, body }: Omit<Question, 'describe'>,
  { url, key, signal }: Address,
): Promise<Result<Response, string>> {
  try {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: { Authorization: `Bearer ${key}` },
      body: body === undefined ? null : JSON.stringify(body),
      redirect: 'manual', // the key is for this address only
      signal,
    });
    if (response.ok) return ok(response);
    const content: unknown = await response.json().catch(() => null);
    const refusal = isRecord(content) && isRecord(content['error']) ? content['error'] : null;
    if (response.status === 401 && refusal !== null)
      return err(
        `The collector at ${url} does not take this access key; it is in the file access-key of its data directory`,
      );
    return err(typeof refusal?.['message'] === 'string' ? refusal['message'] : describeStranger(url, response.status));
  } catch (cause) {
    return err(
      `The collector at ${url} does not answer: ${describeError(cause)}; start it, or name another address by --url`,
    );
  }
}

/** Of whatever answers as no collector does. */
export function describeStranger(url: string, status: number): string {
  return `What answers at ${url} with ${status} is no Muster collector; --url names another address`;
}

/** What a header may carry; anything else would be printed by the one that refuses it. */
function parseKey(text: string): Result<string, string> {
  return /^[\w.~+/-]+=*$/.test(text) ? ok(text) : err('an access key');
}
