import { err, ok, type Result } from './result.ts';

/** One setting of a program: a flag `--name value`, an environment variable, a default, in this order of force. */
export type Option<T> = {
  readonly env?: string;
  /** What stands for the value in the help text; a flag without one is a switch and takes no value. */
  readonly placeholder?: string;
  readonly help: string;
  /** A secret may also be given as a file, `<env>_FILE`; the flag would show it to everyone on the machine. */
  readonly secret?: true;
  readonly default: T;
  /** Text to value; the error says what would be right: `a port from 1 to 65535`. */
  readonly parse: (text: string) => Result<T, string>;
};

export type Options = Readonly<Record<string, Option<unknown>>>;
export type Values<O extends Options> = { readonly [K in keyof O]: O[K] extends Option<infer T> ? T : never };

export type OptionsInput = {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The text of a file, for secrets; throws when it cannot be read. */
  readonly readFile: (path: string) => string;
  /** What a configuration file says, by the flag's name without its dashes: weaker than all of these but the default. */
  readonly settings?: ReadonlyMap<string, Setting>;
};

/** What is said, and where: `agent.yaml:3: url`. */
export type Setting = { readonly from: string; readonly text: string };

/** The values of all options, or every fault at once, a sentence each. */
export function parseOptions<O extends Options>(options: O, input: OptionsInput): Result<Values<O>, readonly string[]> {
  const faults: string[] = [];
  const given = readFlags(options, input.argv, faults);
  const values: Record<string, unknown> = {};
  for (const [name, option] of Object.entries(options)) {
    const source = given.get(name) ?? readEnv(option, input, faults) ?? readSetting(flagOf(name), input, faults);
    if (source === null) {
      values[name] = option.default;
      continue;
    }
    const parsed = option.parse(source.text);
    if (parsed.ok) values[name] = parsed.value;
    else
      faults.push(
        `${source.from} must be ${parsed.error}, was ${option.secret ? 'something else' : JSON.stringify(source.text)}`,
      );
  }
  return faults.length > 0 ? err(faults) : ok(values as Values<O>); // every name has its parsed value or its default
}

/** The help text: one line of usage, then a line per option. */
export function formatOptions(usage: string, options: Options): string {
  const rows = Object.entries(options).map(([name, option]) => {
    const flag = `--${flagOf(name)}${option.placeholder === undefined ? '' : ` ${option.placeholder}`}`;
    const env = option.env === undefined ? '' : ` [${option.env}${option.secret ? ` or ${option.env}_FILE` : ''}]`;
    return [flag, `${option.help}${env}`] as const;
  });
  rows.push(['--help', 'print this and exit']);
  const width = Math.max(...rows.map(([flag]) => flag.length)) + 2;
  return `${usage}\n\n${rows.map(([flag, help]) => `  ${flag.padEnd(width)}${help}`).join('\n')}\n`;
}

export function parseText(text: string): Result<string, string> {
  return text === '' ? err('a text') : ok(text);
}

export function parseSwitch(text: string): Result<boolean, string> {
  if (/^(true|1|on|yes)$/.test(text)) return ok(true);
  return /^(false|0|off|no)$/.test(text) ? ok(false) : err('true or false');
}

export function parsePort(text: string): Result<number, string> {
  const isPort = /^\d{1,5}$/.test(text) && Number(text) <= 65_535;
  return isPort ? ok(Number(text)) : err('a port from 0 (any free one) to 65535');
}

/** An address of a server, without a path, as `https://host:port`. */
export function parseOrigin(text: string): Result<string, string> {
  const url = URL.parse(text);
  const isPlain = url !== null && url.href === `${url.origin}/` && /^https?:$/.test(url.protocol);
  return isPlain ? ok(url.origin) : err('an http or https address without a path, such as https://muster.example:7430');
}

/** Whether what is sent to an address stays on this machine. */
export function isThisMachine(origin: string): boolean {
  const { hostname } = new URL(origin); // has made 127.1 and the like 127.0.0.1
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}

function readFlags(options: Options, argv: readonly string[], faults: string[]): Map<string, Setting> {
  const names = new Map(Object.keys(options).map((name) => [`--${flagOf(name)}`, name]));
  const given = new Map<string, Setting>();
  for (let i = 0; i < argv.length; i += 1) {
    const [from = '', ...rest] = (argv[i] ?? '').split('=');
    const name = names.get(from);
    const option = name === undefined ? undefined : options[name];
    if (name === undefined || option === undefined) {
      faults.push(`${argv[i]} is not an option; --help lists them`);
      // What follows it is meant as its value.
      if (from.startsWith('--') && rest.length === 0 && argv[i + 1]?.startsWith('--') === false) i += 1;
      continue;
    }
    let text = rest.length > 0 ? rest.join('=') : undefined;
    if (text === undefined && option.placeholder === undefined) text = 'true';
    if (text === undefined) text = argv[(i += 1)];
    if (text === undefined) faults.push(`${from} needs a value: ${from} ${option.placeholder}`);
    else given.set(name, { from, text });
  }
  return given;
}

function readEnv(option: Option<unknown>, input: OptionsInput, faults: string[]): Setting | null {
  if (option.env === undefined) return null;
  const text = input.env[option.env];
  if (text !== undefined && text !== '') return { from: option.env, text };
  const from = `${option.env}_FILE`;
  const path = option.secret ? input.env[from] : undefined;
  if (path === undefined || path === '') return null;
  return readSecret(from, path, input, faults);
}

function readSecret(from: string, path: string, { readFile }: OptionsInput, faults: string[]): Setting | null {
  try {
    return { from, text: readFile(path).trim() };
  } catch (cause) {
    faults.push(`${from} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`);
    return null;
  }
}

/** What a configuration file says of a flag, or names as the file that holds it. */
function readSetting(flag: string, input: OptionsInput, faults: string[]): Setting | null {
  const file = input.settings?.get(`${flag}-file`);
  return input.settings?.get(flag) ?? (file === undefined ? null : readSecret(file.from, file.text, input, faults));
}

/** `dataDirectory` → `data-directory` */
export function flagOf(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
