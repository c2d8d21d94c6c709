import type { KeyObject } from 'node:crypto';

import { describeError } from '@muster/proto/log';
import {
  flagOf,
  isThisMachine,
  parseOptions,
  parseOrigin,
  parseSwitch,
  parseText,
  type Option,
  type Options,
  type OptionsInput,
  type Values,
} from '@muster/proto/options';
import { SAMPLE_MS_DEFAULT } from '@muster/proto/push';
import { readHostLabels } from '@muster/proto/batch';
import { parseLabels, type Labels } from '@muster/proto/labels';
import { err, ok, type Result } from '@muster/proto/result';

import { parseKey } from './update/release.ts';
import { NO_FILES, readConfigFiles, type ConfigFiles, type FilesRead } from './config-file.ts';
import { parseTime } from './settings.ts';
import type { SourceSettings } from './sources.ts';
import type { Check } from './sources/checks/check.ts';

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
  /** What its owner says of the host. */
  readonly labels: Labels;
  readonly sources: SourceSettings;
  readonly checks: readonly Check[];
};

export const CONFIG_DEFAULT = '/etc/muster/agent.yaml';
/** Says that no configuration file is read. */
const NO_CONFIG = 'none';
/** Options that a configuration file does not give: what it would say is said otherwise there, or is for tests. */
const NOT_IN_FILES: ReadonlySet<string> = new Set(['config', 'labels', 'root']);

/** The agent takes newer versions of itself only if it is given a key. */
const UPDATE_OPTIONS = {
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
    help: 'about how often to ask for one, 1s to 1d; default 1h',
    default: UPDATE_MS_DEFAULT,
    parse: parseTime(EVERY_MS_MIN, UPDATE_MS_MAX),
  },
} as const satisfies Options;

/** `hostname` is what the machine calls itself. */
export function makeOptions(hostname: string) {
  return {
    config: {
      env: 'MUSTER_CONFIG',
      placeholder: 'FILE',
      help: `configuration file, and agent.d/*.yaml beside it; "${NO_CONFIG}" reads none; default ${CONFIG_DEFAULT}`,
      default: CONFIG_DEFAULT,
      parse: parseText,
    },
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
    labels: {
      env: 'MUSTER_LABELS',
      placeholder: 'LABELS',
      help: 'what to know the host by: region=eu,env=prod,role=web,team=shop, and any others',
      default: {},
      parse: parseHostLabels,
    },
    root: {
      env: 'MUSTER_ROOT',
      placeholder: 'DIRECTORY',
      help: 'read proc, sys and etc from under here; for tests; default /',
      default: '/',
      parse: parseText,
    },
    ...UPDATE_OPTIONS,
  } as const satisfies Options;
}

export type ConfigInput = OptionsInput & Pick<ConfigFiles, 'listFiles'>;

/** The agent's configuration, or every fault at once, a sentence each. Flags are stronger than the environment, that than files. */
export function parseConfig(input: ConfigInput, hostname: string): Result<Config, readonly string[]> {
  const options = makeOptions(hostname);
  let tokenFault = 'there is no enrolment token: set MUSTER_TOKEN or MUSTER_TOKEN_FILE';
  const readFile = (path: string): string => {
    try {
      return input.readFile(path);
    } catch (cause) {
      tokenFault = `the file of the enrolment token cannot be read: ${describeError(cause)}`;
      return '';
    }
  };
  const files = readFiles(options, input);
  const said = { ...input, settings: files.config.options };
  const parse = parseOne('insecureHttp', options, said) ? parseOrigin : parseSafeUrl;
  const values = parseOptions({ ...options, url: { ...options.url, parse } }, { ...said, readFile });
  if (!values.ok || files.faults.length > 0) return err([...files.faults, ...(values.ok ? [] : values.error)]);
  const { url, token, state, interval, name, root, labels, updateKey, updateEvery } = values.value;
  return ok({
    url,
    token: token === '' ? err(tokenFault) : ok(token),
    stateDirectory: state,
    everyMs: interval,
    name,
    root,
    update: updateKey === null ? null : { key: updateKey, everyMs: updateEvery },
    labels: { ...files.config.labels, ...labels },
    sources: files.config.sources,
    checks: files.config.checks,
  });
}

type AgentOptions = ReturnType<typeof makeOptions>;

/**
 * All that the start of a version that was fetched takes. The rest of the configuration is that version's to judge: it may
 * hold settings that this one does not know. Null: none is to be started.
 */
export function parseUpdatePlace(
  input: ConfigInput,
  hostname: string,
): { readonly stateDirectory: string; readonly key: KeyObject } | null {
  const options = makeOptions(hostname);
  const said = { ...input, settings: readFiles(options, input).config.options };
  const key = parseOne('updateKey', options, said);
  const stateDirectory = parseOne('state', options, said);
  return key === null || stateDirectory === null ? null : { stateDirectory, key };
}

function readFiles(options: AgentOptions, input: ConfigInput): FilesRead {
  const path = parseOne('config', options, input) ?? CONFIG_DEFAULT;
  if (path === NO_CONFIG) return { config: NO_FILES, faults: [] };
  const optionNames = Object.entries<Option<unknown>>(options).flatMap(([name, { secret }]) => {
    if (NOT_IN_FILES.has(name)) return [];
    return secret ? [flagOf(name), `${flagOf(name)}-file`] : [flagOf(name)];
  });
  return readConfigFiles(path, { ...input, isNamed: path !== CONFIG_DEFAULT, optionNames });
}

/** One option that decides about others is found out first, so that all faults can be reported at once. Null: it is wrong. */
function parseOne<K extends keyof AgentOptions>(
  name: K,
  options: AgentOptions,
  input: OptionsInput,
): Values<Pick<AgentOptions, K>>[K] | null {
  const flag = `--${flagOf(name)}`;
  const at = input.argv.findLastIndex((word) => word.split('=')[0] === flag);
  const words = 'placeholder' in options[name] && input.argv[at] === flag ? 2 : 1;
  const argv = at === -1 ? [] : input.argv.slice(at, at + words);
  const values = parseOptions({ [name]: options[name] } as Pick<AgentOptions, K>, { ...input, argv });
  return values.ok ? values.value[name] : null;
}

function parseSafeUrl(text: string): Result<string, string> {
  const url = parseOrigin(text);
  if (!url.ok) return url;
  const isSafe = url.value.startsWith('https:') || isThisMachine(url.value);
  return isSafe ? url : err('https for another machine (--insecure-http allows http all the same)');
}

/** How often a host is sampled. */
export const parseInterval = parseTime(EVERY_MS_MIN, EVERY_MS_MAX);

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

/** `region=eu,env=prod`, in any order. */
function parseHostLabels(text: string): Result<Labels, string> {
  const sorted = parseLabels(text.split(',').toSorted().join(','));
  const labels = sorted.ok ? readHostLabels({ ...sorted.value }) : err([sorted.error]);
  return labels.ok ? labels : err(`pairs such as region=eu,env=prod (${labels.error.join('; ')})`);
}
