import { join } from 'node:path';

import {
  ENROLMENT_HOSTS_MAX,
  ENROLMENT_MS_DEFAULT,
  ENROLMENT_MS_MAX,
  type EnrolmentTokenReply,
  type EnrolmentTokenRequest,
  type RevokeReply,
  type TokensReply,
} from '@muster/proto/api';
import { describeError } from '@muster/proto/log';
import {
  formatOptions,
  parseOptions,
  parseSwitch,
  type Option,
  type OptionsInput,
  type Values,
} from '@muster/proto/options';
import { isRecord } from '@muster/proto/record';
import { err, ok, type Result } from '@muster/proto/result';

import { OPTIONS } from './config.ts';
import { formatCreated, formatRevoked, formatTokens, isThisMachine } from './token-text.ts';

/** A collector that takes longer is treated as one that does not answer. */
const ANSWER_MS_MAX = 15_000;

const TARGET = {
  url: {
    env: 'MUSTER_URL',
    placeholder: 'URL',
    help: 'where the collector is (default http://127.0.0.1:7430)',
    default: 'http://127.0.0.1:7430',
    parse: parseUrl,
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

const CREATE = {
  hosts: {
    placeholder: 'N',
    help: `how many hosts may join with it, 1 to ${ENROLMENT_HOSTS_MAX} (default 1)`,
    default: 1,
    parse: parseHosts,
  } satisfies Option<number>,
  valid: {
    placeholder: 'TIME',
    help: 'for how long, 1m to 30d (default 15m)',
    default: ENROLMENT_MS_DEFAULT,
    parse: parseValid,
  } satisfies Option<number>,
  ...TARGET,
};

const USAGE = `muster-collector token: the tokens with which hosts join, and send

  muster-collector token create [options]      make an enrolment token, with which hosts can join
  muster-collector token list [options]        list enrolment tokens and hosts' tokens; secrets are not shown
  muster-collector token revoke ID [options]   end one of them, from the next request on

It asks the running collector. --hosts and --valid are for create.`;

export type TokenCommandInput = OptionsInput & {
  /** To the standard output, and to the standard error. */
  readonly write: (text: string) => void;
  readonly fail: (text: string) => void;
};

type Target = Values<typeof TARGET>;
type Action =
  | { readonly kind: 'create'; readonly hosts: number; readonly validMs: number }
  | { readonly kind: 'list' }
  | { readonly kind: 'revoke'; readonly id: string };
/** `target.key` is the access key, wherever it was found. */
type Command = { readonly action: Action; readonly target: Target };

/** Runs `token …`, `argv` being what follows that word. Exit codes: 0 done, 1 could not, 2 wrongly asked. */
export async function runTokenCommand(input: TokenCommandInput): Promise<number> {
  if (input.argv.includes('--help')) {
    input.write(formatOptions(USAGE, CREATE));
    return 0;
  }
  const command = parseCommand(input);
  if (!command.ok) {
    for (const fault of command.error) input.fail(`${fault}\n`);
    return 2;
  }
  const answer = await perform(command.value);
  if (answer.ok) input.write(`${answer.value}\n`);
  else input.fail(`${answer.error}\n`);
  return answer.ok ? 0 : 1;
}

/** What is to be done, or every fault at once. */
function parseCommand(input: OptionsInput): Result<Command, readonly string[]> {
  const [verb = '', ...argv] = input.argv;
  if (verb !== 'create' && verb !== 'list' && verb !== 'revoke')
    return err([
      `token ${verb === '' ? 'needs a command' : `knows no ${verb}`}: create, list or revoke; --help tells more`,
    ]);
  const id = verb === 'revoke' && !(argv[0] ?? '-').startsWith('-') ? argv.shift() : undefined;
  const faults = verb === 'revoke' && !ID_PATTERN.test(id ?? '') ? [WHICH] : [];
  const options = parseOptions(verb === 'create' ? CREATE : TARGET, { ...input, argv });
  if (!options.ok) return err([...faults, ...options.error]);
  const target = options.value;
  if (target.url.startsWith('http:') && !isThisMachine(target.url) && !target.insecureHttp)
    faults.push(
      `--url ${target.url} would send the access key in clear to another machine; use https, or say --insecure-http`,
    );
  const key = target.key === '' ? readKey(target.data, input.readFile) : ok(target.key);
  if (!key.ok) faults.push(key.error);
  if (!key.ok || faults.length > 0) return err(faults);
  return ok({ action: makeAction(verb, id ?? '', target), target: { ...target, key: key.value } });
}

const ID_PATTERN = /^[0-9a-f]{4,64}$/;
const WHICH =
  'Say which one: token revoke ID, before any option; token list shows the ids, and their first 4 characters may do';

function makeAction(verb: Action['kind'], id: string, target: Target | Values<typeof CREATE>): Action {
  if (verb === 'revoke') return { kind: verb, id };
  return 'hosts' in target ? { kind: 'create', hosts: target.hosts, validMs: target.valid } : { kind: 'list' };
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

/** Does what was asked, and gives the text to print. */
async function perform({ action, target }: Command): Promise<Result<string, string>> {
  switch (action.kind) {
    case 'create': {
      const request: EnrolmentTokenRequest = { hosts: action.hosts, validMs: action.validMs };
      const made = await ask<EnrolmentTokenReply>(target, 'POST', '/api/v1/enrolment-tokens', request);
      return format(made, target, (reply) => formatCreated(reply, target.url));
    }
    case 'list':
      return format(await ask<TokensReply>(target, 'GET', '/api/v1/tokens'), target, formatTokens);
    case 'revoke':
      return format(await ask<RevokeReply>(target, 'DELETE', `/api/v1/tokens/${action.id}`), target, formatRevoked);
  }
}

function format<T>(reply: Result<T, string>, { json }: Target, describe: (reply: T) => string): Result<string, string> {
  return reply.ok ? ok(json ? JSON.stringify(reply.value, null, 2) : describe(reply.value)) : reply;
}

/** Asks the collector; its answer is taken as typed. The error says what to do. */
async function ask<T>(target: Target, method: string, path: string, body?: object): Promise<Result<T, string>> {
  const { url, key } = target;
  try {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: { Authorization: `Bearer ${key}` },
      body: body === undefined ? null : JSON.stringify(body),
      redirect: 'manual', // the key is for this address only
      signal: AbortSignal.timeout(ANSWER_MS_MAX),
    });
    const content: unknown = await response.json().catch(() => null);
    if (response.ok && isRecord(content)) return ok(content as T); // what the route of this path answers
    const refusal = isRecord(content) && isRecord(content['error']) ? content['error'] : null;
    if (response.status === 401 && refusal !== null)
      return err(
        `The collector at ${url} does not take this access key; it is in the file access-key of its data directory`,
      );
    if (typeof refusal?.['message'] === 'string') return err(refusal['message']);
    return err(`What answers at ${url} with ${response.status} is no Muster collector; --url names another address`);
  } catch (cause) {
    return err(
      `The collector at ${url} does not answer: ${describeError(cause)}; start it, or name another address by --url`,
    );
  }
}

function parseUrl(text: string): Result<string, string> {
  const url = URL.parse(text);
  const isPlain = url !== null && url.href === `${url.origin}/` && /^https?:$/.test(url.protocol);
  return isPlain ? ok(url.origin) : err('an http or https address without a path, such as https://muster.example');
}

/** What a header may carry; anything else would be printed by the one that refuses it. */
function parseKey(text: string): Result<string, string> {
  return /^[\w.~+/-]+=*$/.test(text) ? ok(text) : err('an access key');
}

function parseHosts(text: string): Result<number, string> {
  const isRight = /^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= ENROLMENT_HOSTS_MAX;
  return isRight ? ok(Number(text)) : err(`a number of hosts, 1 to ${ENROLMENT_HOSTS_MAX}`);
}

const UNITS_MS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `15m`, `12h`, `30d`, as milliseconds. */
function parseValid(text: string): Result<number, string> {
  const [, count = '', unit = ''] = /^([1-9]\d{0,5})([mhd])$/.exec(text) ?? [];
  const validMs = Number(count) * (UNITS_MS[unit] ?? NaN);
  return validMs <= ENROLMENT_MS_MAX ? ok(validMs) : err('a time from 1m to 30d, such as 15m, 12h or 7d');
}
