import { basename, dirname, join } from 'node:path';

import { readHostLabels } from '@muster/proto/batch';
import type { Labels } from '@muster/proto/labels';
import { describeError } from '@muster/proto/log';
import type { Setting } from '@muster/proto/options';
import { isRecord } from '@muster/proto/record';
import { err, ok, type Result } from '@muster/proto/result';
import * as v from 'valibot';
import { isMap, isSeq, LineCounter, parseDocument, visit, type Document, type YAMLError } from 'yaml';

import { codeOf } from './code-of.ts';
import { isScalar, map, scalar } from './settings.ts';
import { SOURCES_SCHEMA, type SourceSettings } from './sources.ts';
import type { Check } from './sources/checks/check.ts';
import { CHECKS_SCHEMA } from './sources/checks/settings.ts';

/** Each has a dozen series, and runs every half minute: a host that looks at more is no mere host. */
const CHECKS_MAX = 200;

/** What the configuration files say. `options` are those that a flag may give too, by the name of the flag. */
export type FileConfig = {
  readonly options: ReadonlyMap<string, Setting>;
  readonly labels: Labels;
  readonly sources: SourceSettings;
  /** Those of all files. */
  readonly checks: readonly Check[];
};

/** What a check is called, and where. */
type PlacedName = { readonly name: string; readonly at: string };

export type ConfigFiles = {
  /** Throws when it cannot be read. */
  readonly readFile: (path: string) => string;
  /** The names in a directory; throws when there is none. */
  readonly listFiles: (directory: string) => readonly string[];
};

/** What no host needs; the parser takes a second for so much, and four for twice that. */
const FILE_LENGTH_MAX = 256 * 1024;
/** Of a value, in the text of a fault. */
const VALUE_LENGTH_MAX = 80;

/** What no file says. */
export const NO_FILES: FileConfig = { options: new Map(), labels: {}, sources: {}, checks: [] };

/**
 * Reads a configuration file and then, in the order of their names, the `*.yaml` files of the directory beside it that is
 * called as it is, but for `.d`: `agent.yaml`, `agent.d/10-web.yaml`. What comes later counts; maps are put together.
 * `faults` are all of them at once, each with its file and line; of a file that has some only the options count.
 *
 * `optionNames` are the flags that a file may give. A file that is not there says nothing, unless it `isNamed`.
 */
export function readConfigFiles(
  path: string,
  {
    isNamed,
    optionNames,
    ...files
  }: ConfigFiles & { readonly isNamed: boolean; readonly optionNames: readonly string[] },
): FilesRead {
  const faults: string[] = [];
  const schema = makeSchema(optionNames);
  const names: PlacedName[] = [];
  let config = NO_FILES;
  const more = listMore(path, files);
  if (!more.ok) faults.push(more.error);
  for (const file of [path, ...(more.ok ? more.value : [])]) {
    const text = readText(file, files);
    if (!text.ok) {
      if (text.error !== null || isNamed)
        faults.push(`${file} cannot be read: ${text.error ?? 'there is no such file'}`);
      continue;
    }
    const one = parseConfigFile(file, text.value, { schema, optionNames });
    config = merge(config, one.config);
    faults.push(...one.faults);
    names.push(...one.names);
  }
  faults.push(...findNameFaults(names));
  return { config, faults };
}

export type FilesRead = { readonly config: FileConfig; readonly faults: readonly string[] };

function listMore(path: string, { listFiles }: ConfigFiles): Result<readonly string[], string> {
  const directory = join(dirname(path), `${basename(path).replace(/\.ya?ml$/, '')}.d`);
  try {
    const names = listFiles(directory).filter((name) => /^[^.].*\.ya?ml$/.test(name));
    return ok(names.toSorted().map((name) => join(directory, name)));
  } catch (cause) {
    return codeOf(cause) === 'ENOENT' ? ok([]) : err(`${directory} cannot be read: ${describeError(cause)}`);
  }
}

/** The error is null when there is no such file. */
function readText(file: string, { readFile }: ConfigFiles): Result<string, string | null> {
  try {
    return ok(readFile(file));
  } catch (cause) {
    return err(codeOf(cause) === 'ENOENT' ? null : describeError(cause));
  }
}

type Schema = ReturnType<typeof makeSchema>;

function makeSchema(optionNames: readonly string[]) {
  const options = Object.fromEntries(optionNames.map((name) => [name, v.optional(scalar(ok))]));
  return map({
    ...options,
    labels: v.optional(LABELS),
    sources: v.optional(SOURCES_SCHEMA),
    checks: v.optional(CHECKS_SCHEMA),
  });
}

/** Marks the message of an issue that is a whole sentence. */
const SENTENCE = 'sentence';

const LABELS = v.pipe(
  v.unknown(),
  v.rawTransform<unknown, Labels>(({ dataset, addIssue, NEVER }) => {
    const { value } = dataset;
    const texts = isRecord(value)
      ? Object.fromEntries(Object.entries(value).map(([key, one]) => [key, isScalar(one) ? String(one) : one]))
      : value;
    const labels = readHostLabels(texts);
    if (labels.ok) return labels.value;
    for (const message of labels.error) addIssue({ message, expected: SENTENCE });
    return NEVER;
  }),
);

function parseConfigFile(
  file: string,
  text: string,
  { schema, optionNames }: { readonly schema: Schema; readonly optionNames: readonly string[] },
): FilesRead & { readonly names: readonly PlacedName[] } {
  const fail = (faults: readonly string[]) => ({ config: NO_FILES, faults, names: [] });
  if (text.length > FILE_LENGTH_MAX) {
    return fail([`${file} has ${text.length} characters, more than ${FILE_LENGTH_MAX}: divide it among several`]);
  }
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, strict: true });
  const at = (offset: number) => `${file}:${Math.max(1, lines.linePos(offset).line)}:`;
  // A warning is a tag that nobody knows, such as !!js/function: what was meant is not what would be read.
  const wrong = [...document.errors, ...document.warnings, ...findWrongKeys(document)];
  if (wrong.length > 0) return fail(wrong.map(({ pos: [offset], message }) => `${at(offset)} ${message}`));
  keepNumbers(document);
  if (document.contents !== null && !isMap(document.contents))
    return fail([`${at(0)} the file must be a map of settings`]);
  let value: unknown;
  try {
    value = document.toJS() ?? {}; // null: empty, or comments only
  } catch (cause) {
    return fail([`${at(0)} ${describeError(cause)}`]);
  }
  const options = new Map<string, Setting>();
  for (const name of optionNames) {
    const said = isRecord(value) ? value[name] : undefined;
    const from = `${at(findOffset(document, { path: [{ key: name }] }))} ${name}`;
    if (isScalar(said)) options.set(name, { from, text: String(said) });
  }
  const names = listCheckNames(value).flatMap((name, i) => {
    const path = [{ key: 'checks' }, { key: i }, { key: 'name' }];
    return isScalar(name) ? { name: String(name), at: at(findOffset(document, { path })).slice(0, -1) } : [];
  });
  const parsed = v.safeParse(schema, withoutNulls(value));
  if (!parsed.success) {
    const faults = parsed.issues.map((issue) => `${at(findOffset(document, issue))} ${describeIssue(issue)}`);
    return { config: { ...NO_FILES, options }, faults, names };
  }
  const { labels = {}, sources = {}, checks = [] } = parsed.output;
  return { config: { options, labels, sources, checks }, faults: [], names };
}

/** Of all checks that a file lists, right or wrong. */
function listCheckNames(value: unknown): readonly unknown[] {
  const checks = isRecord(value) ? value['checks'] : null;
  return Array.isArray(checks) ? checks.map((check: unknown) => (isRecord(check) ? check['name'] : null)) : [];
}

/** A name with nothing behind it, as when all below it is commented out, says nothing. */
function withoutNulls(value: unknown): unknown {
  return isRecord(value) ? Object.fromEntries(Object.entries(value).filter(([, one]) => one !== null)) : value;
}

/** As they are written: a rack called 1.10 is not 1.1, and a token of digits not the number nearest to it. */
function keepNumbers(document: Document): void {
  visit(document, {
    Scalar: (key, node) => {
      if (key !== 'key' && typeof node.value === 'number' && node.source !== undefined) node.value = node.source;
    },
  });
}

/** Names of the language's own, which valibot passes over in silence. */
const KEYS_FORBIDDEN: ReadonlySet<unknown> = new Set(['__proto__', 'prototype', 'constructor']);

function findWrongKeys(document: Document): readonly Pick<YAMLError, 'pos' | 'message'>[] {
  const found: Pick<YAMLError, 'pos' | 'message'>[] = [];
  visit(document, {
    Scalar: (place, { value, range }) => {
      if (place !== 'key' || !KEYS_FORBIDDEN.has(value)) return;
      const [start = 0, end = 0] = range ?? [];
      found.push({ pos: [start, end], message: `nothing may be called ${String(value)}` });
    },
  });
  return found;
}

type Place = { readonly path?: readonly { readonly key?: unknown }[] | undefined };

/** Where in the text a value begins, or its key. */
function findOffset(document: Document, { path = [] }: Place): number {
  let node: unknown = document.contents;
  let offset = 0;
  for (const { key } of path) {
    if (isMap(node)) {
      const pair = node.items.find((item) => String(item.key) === String(key));
      offset = rangeOf(pair?.key) ?? offset;
      node = pair?.value;
    } else if (isSeq(node)) {
      node = node.items[Number(key)];
      offset = rangeOf(node) ?? offset;
    }
  }
  return offset;
}

function rangeOf(node: unknown): number | null {
  const range = isRecord(node) ? node['range'] : null;
  return Array.isArray(range) && typeof range[0] === 'number' ? range[0] : null;
}

function describeIssue({ path, expected, message, input }: v.BaseIssue<unknown>): string {
  if (expected === SENTENCE) return message;
  const keys = (path ?? []).map(({ key }) => String(key));
  if (expected === 'never')
    return `${keys.slice(0, -1).join('.') || 'the file'} has no ${keys.at(-1)}; it may have ${message}`;
  // A list or a map may hold secrets that were put in the wrong place.
  const was = isScalar(input) ? `, was ${JSON.stringify(input).slice(0, VALUE_LENGTH_MAX)}` : '';
  return `${keys.join('.') || 'the file'} must be ${message}${was}`;
}

function merge(before: FileConfig, after: FileConfig): FileConfig {
  const sources: Record<string, unknown> = { ...before.sources };
  for (const [name, said] of Object.entries(after.sources)) {
    const known = sources[name];
    sources[name] = isRecord(known) && isRecord(said) ? { ...known, ...said } : said;
  }
  return {
    options: new Map([...before.options, ...after.options]),
    labels: { ...before.labels, ...after.labels },
    sources,
    checks: [...before.checks, ...after.checks],
  };
}

/** What lies between checks, whether or not each is right by itself. */
function findNameFaults(names: readonly PlacedName[]): readonly string[] {
  const places = new Map<string, string>();
  const faults = names.flatMap(({ name, at }) => {
    const other = places.get(name);
    if (other === undefined) places.set(name, at);
    return other === undefined ? [] : `${at}: there is a check of the name "${name}" already, at ${other}`;
  });
  const beyond = names[CHECKS_MAX];
  if (beyond !== undefined) faults.push(`${beyond.at}: there are ${names.length} checks, more than ${CHECKS_MAX}`);
  return faults;
}
