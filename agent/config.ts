import type { KeyObject } from 'node:crypto';

import { describeError } from '@muster/proto/log';
import {
  isThisMachine,
  parseOptions,
  parseOrigin,
  parseSwitch,
  parseText,
  type Options,
  type OptionsInput,
} from '@muster/proto/options';
import { SAMPLE_MS_DEFAULT } from '@muster/proto/push';
import { err, ok, type Result } from '@muster/proto/result';

import { parseKey } from './update/release.ts';

/** Below a second the kernel's own clock (100 ticks a second) is too coarse for shares. */
const EVERY_MS_MIN = 1_000;
const EVERY_MS_MAX = 60_000;
const NAME_LENGTH_MAX = 255;
/** Within it a fleet has a new version; a check is two requests for less than a kilobyte. */
const UPDATE_MS_DEFAULT = 3_600_000;
const UPDATE_MS_MAX = 86_400_000;

export type Config = {
  /** The origin of the collector, `https://muster.example:7430`. */
  readonly url: string;
  /** The enrolment token, or why there is none: an agent that is enrolled needs none. */
  readonly token: Result<string, string>;
  readonly stateDirectory: string;
  readonly everyMs: number;
  readonly name: string;
  readonly root: string;
  /** By which key newer versions must be signed, and about how often to ask for one; null: the agent stays what it is. */
  readonly update: { readonly key: KeyObject; readonly everyMs: number } | null;
};

/** `hostname` is what the machine calls itself. */
export function makeOptions(hostname: string) {
  return {
    url: {
      env: 'MUSTER_URL',
      placeholder: 'URL',
      help: 'where the collector is; default http://127.0.0.1:7430',
      default: 'http://127.0.0.1:7430',
      parse: parseOrigin,
    },
    token: {
      env: 'MUSTER_TOKEN',
      placeholder: 'TOKEN',
      help: 'enrolment token, needed once; as a flag every user of this machine can see it',
      secret: true,
      default: '',
      parse: (text) => ok(text.trim()), // as it was pasted
    },
    name: {
      env: 'MUSTER_NAME',
      placeholder: 'NAME',
      help: `what people call this host; default its host name, ${hostname}`,
      default: hostname,
      parse: parseName,
    },
    interval: {
      env: 'MUSTER_INTERVAL',
      placeholder: 'TIME',
      help: 'how often to sample, 1s to 1m; default 5s',
      default: SAMPLE_MS_DEFAULT,
      parse: parseInterval,
    },
    state: {
      env: 'MUSTER_STATE',
      placeholder: 'DIRECTORY',
      help: 'where the identity is kept and what waits for the collector, 300 MiB at most, and 350 for updates; default /var/lib/muster-agent',
      default: '/var/lib/muster-agent',
      parse: parseText,
    },
    insecureHttp: {
      env: 'MUSTER_INSECURE_HTTP',
      help: 'allow http to another machine: tokens and samples can be read and altered on the way',
      default: false,
      parse: parseSwitch,
    },
    root: {
      env: 'MUSTER_ROOT',
      placeholder: 'DIRECTORY',
      help: 'read proc, sys and etc from under here; for tests; default /',
      default: '/',
      parse: parseText,
    },
    updateKey: {
      env: 'MUSTER_UPDATE_KEY',
      placeholder: 'KEY',
      help: 'take newer versions of the agent from the collector, if this key has signed them; default none is taken',
      default: null,
      parse: parseUpdateKey,
    },
    updateEvery: {
      env: 'MUSTER_UPDATE_EVERY',
      placeholder: 'TIME',
      help: 'about how often to ask for one, 1s to 1440m; default 60m',
      default: UPDATE_MS_DEFAULT,
      parse: parseUpdateEvery,
    },
  } as const satisfies Options;
}

/** The agent's configuration, or every fault at once, a sentence each. */
export function parseConfig(input: OptionsInput, hostname: string): Result<Config, readonly string[]> {
  const options = makeOptions(hostname);
  let tokenFault = 'there is no enrolment token: set MUSTER_TOKEN or MUSTER_TOKEN_FILE';
  const readFile = (path: string): string => {
    try {
      return input.readFile(path);
    } catch (cause) {
      tokenFault = `MUSTER_TOKEN_FILE cannot be read: ${describeError(cause)}`;
      return '';
    }
  };
  const parse = allowsInsecureHttp(options, input) ? parseOrigin : parseSafeUrl;
  const values = parseOptions({ ...options, url: { ...options.url, parse } }, { ...input, readFile });
  if (!values.ok) return values;
  const { url, token, state, interval, name, root, updateKey, updateEvery } = values.value;
  return ok({
    url,
    token: token === '' ? err(tokenFault) : ok(token),
    stateDirectory: state,
    everyMs: interval,
    name,
    root,
    update: updateKey === null ? null : { key: updateKey, everyMs: updateEvery },
  });
}

/** What one option says about another is found out first, so that all faults can be reported at once. */
function allowsInsecureHttp({ insecureHttp }: ReturnType<typeof makeOptions>, input: OptionsInput): boolean {
  const argv = input.argv.filter((flag) => flag.split('=')[0] === '--insecure-http');
  const values = parseOptions({ insecureHttp }, { ...input, argv });
  return values.ok && values.value.insecureHttp;
}

function parseSafeUrl(text: string): Result<string, string> {
  const url = parseOrigin(text);
  if (!url.ok) return url;
  const isSafe = url.value.startsWith('https:') || isThisMachine(url.value);
  return isSafe ? url : err('https for another machine (--insecure-http allows http all the same)');
}

/** `5s`, `1m`, `1500ms`, as milliseconds. */
export function parseInterval(text: string): Result<number, string> {
  const everyMs = parseTime(text);
  const isRight = everyMs >= EVERY_MS_MIN && everyMs <= EVERY_MS_MAX; // false for NaN
  return isRight ? ok(everyMs) : err('a time from 1s to 1m, such as 5s or 1500ms');
}

/** NaN: it is no time. */
function parseTime(text: string): number {
  const match = /^(\d{1,6})(ms|s|m)$/.exec(text);
  const unitMs = match?.[2] === 'm' ? 60_000 : match?.[2] === 's' ? 1_000 : 1;
  return Number(match?.[1]) * unitMs;
}

function parseUpdateEvery(text: string): Result<number, string> {
  const everyMs = parseTime(text);
  const isRight = everyMs >= EVERY_MS_MIN && everyMs <= UPDATE_MS_MAX; // false for NaN
  return isRight ? ok(everyMs) : err('a time from 1s to 1440m, such as 60m');
}

function parseUpdateKey(text: string): Result<KeyObject, string> {
  const key = parseKey(text);
  return key === null
    ? err('the base64 of an Ed25519 public key, as scripts/build-agent.ts --make-key prints it')
    : ok(key);
}

/** The nearest interval that is allowed, for what a collector asks for. */
export function clampEvery(everyMs: number): number {
  return Math.min(EVERY_MS_MAX, Math.max(EVERY_MS_MIN, Math.round(everyMs)));
}

function parseName(text: string): Result<string, string> {
  const isRight = text.length > 0 && text.length <= NAME_LENGTH_MAX;
  return isRight ? ok(text) : err(`a name of 1 to ${NAME_LENGTH_MAX} characters`);
}
