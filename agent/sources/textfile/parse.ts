import { err, ok, type Result } from '@muster/proto/result';

export type FamilyType = 'counter' | 'gauge' | 'histogram' | 'summary' | 'untyped';

/** One line that is a sample. `line` counts from 1. */
export type ExpositionSample = {
  readonly name: string;
  readonly labels: readonly (readonly [key: string, value: string])[];
  readonly value: number;
  readonly line: number;
};

/** Samples of one metric: those of a histogram or a summary have names with an ending. */
export type Family = {
  readonly name: string;
  readonly type: FamilyType;
  /** What `# UNIT` says, or ''. */
  readonly unit: string;
  readonly samples: readonly ExpositionSample[];
};

export type LineFault = { readonly line: number; readonly fault: string };
export type Exposition = { readonly families: readonly Family[]; readonly faults: readonly LineFault[] };

/** What a file may hold; what is beyond is left out. */
export const SAMPLES_MAX = 10_000;
/** Of one file so many faults are told apart; who mends these sees the others. */
const FAULTS_MAX = 10;

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const SAMPLE_PATTERN = new RegExp(`^(${NAME})[ \\t]*(.*)$`);
/** What a sample's name has behind that of its family. */
const ENDINGS: Readonly<Partial<Record<FamilyType, readonly string[]>>> = {
  counter: ['_total', '_created'],
  histogram: ['_bucket', '_sum', '_count', '_created'],
  summary: ['_sum', '_count', '_created'],
};

type Told = { type?: FamilyType; unit?: string };

/**
 * Reads the text exposition format of Prometheus, version 0.0.4, or OpenMetrics. A line that cannot be read is left out, and
 * told; so is a last line without its end, which may have been cut short, and a sample with a time of its own, since it
 * would be stored as if it were of now. Exemplars are passed over. Sources: Prometheus documentation, Exposition formats;
 * OpenMetrics 1.0.
 */
export function parseExposition(text: string): Exposition {
  const told = new Map<string, Told>();
  const samples: ExpositionSample[] = [];
  const faults: LineFault[] = [];
  const note = (line: number, fault: string): void => void (faults.length < FAULTS_MAX && faults.push({ line, fault }));
  const lines = text.split('\n');
  const last = lines.pop() ?? '';
  for (const [at, raw] of lines.entries()) {
    const line = raw.endsWith('\r') ? raw.slice(0, -1) : raw;
    if (line === '# EOF') return { families: group(samples, told), faults };
    if (line.startsWith('#')) parseMetadata(line, told);
    else if (line.trim() !== '') {
      const sample = parseSample(line.trim(), at + 1);
      if (!sample.ok) note(at + 1, sample.error);
      else if (samples.length < SAMPLES_MAX) samples.push(sample.value);
      else {
        note(at + 1, `there are more than ${SAMPLES_MAX} samples`);
        break;
      }
    }
  }
  if (last !== '' && last !== '# EOF') note(lines.length + 1, 'the last line has no end: it may be cut short');
  return { families: group(samples, told), faults };
}

/** `# TYPE name type` and `# UNIT name unit`; help and comments are passed over. */
function parseMetadata(line: string, told: Map<string, Told>): void {
  const [, keyword, name = '', what = ''] = line.split(/[ \t]+/);
  if (keyword !== 'TYPE' && keyword !== 'UNIT') return;
  if (told.size >= SAMPLES_MAX && !told.has(name)) return;
  const known = told.get(name) ?? {};
  if (keyword === 'UNIT') known.unit = what;
  else known.type = parseType(what);
  told.set(name, known);
}

function parseType(word: string): FamilyType {
  switch (word) {
    case 'counter':
    case 'gauge':
    case 'histogram':
    case 'summary':
      return word;
    default:
      return 'untyped'; // unknown, info, stateset, gaugehistogram: numbers that stand for themselves
  }
}

function parseSample(text: string, line: number): Result<ExpositionSample, string> {
  const [, name, rest = ''] = SAMPLE_PATTERN.exec(text) ?? [];
  if (name === undefined) return err('it does not begin with the name of a metric');
  const labels = rest.startsWith('{') ? parseLabelSet(rest) : ok({ pairs: [], end: 0 });
  if (!labels.ok) return labels;
  // In OpenMetrics an exemplar follows behind a number sign.
  const [words = ''] = rest.slice(labels.value.end).split(' # ');
  const [number = '', time, ...more] = words.trim().split(/[ \t]+/);
  const value = parseNumber(number);
  if (value === null) return err('the value is no number');
  if (time !== undefined && more.length === 0)
    return err('it has a time of its own, and would be stored as of now: leave the time out');
  return more.length > 0 ? err('something follows the value') : ok({ name, labels: labels.value.pairs, value, line });
}

type LabelSet = { readonly pairs: (readonly [string, string])[]; readonly end: number };

/** `{key="value",key="value"}`, with `\\`, `\"` and `\n` in values; `end` is behind it. */
function parseLabelSet(text: string): Result<LabelSet, string> {
  const pattern = /[ \t]*([a-zA-Z_][a-zA-Z0-9_]*)[ \t]*=[ \t]*"((?:[^"\\]|\\.)*)"[ \t]*(,|(?=\}))/y;
  const pairs: (readonly [string, string])[] = [];
  pattern.lastIndex = 1;
  for (;;) {
    const at = pattern.lastIndex;
    const end = /[ \t]*\}/y;
    end.lastIndex = at;
    if (end.test(text)) return ok({ pairs, end: end.lastIndex });
    const [, key, value = ''] = pattern.exec(text) ?? [];
    if (key === undefined) return err('the labels are not {key="value",…}');
    pairs.push([key, value.replaceAll(/\\(.)/g, (_, one: string) => (one === 'n' ? '\n' : one))]);
  }
}

/** As Go reads it, but for what nobody writes; Infinity and NaN are numbers here. */
function parseNumber(text: string): number | null {
  if (/^[+-]?inf(inity)?$/i.test(text)) return text.startsWith('-') ? -Infinity : Infinity;
  if (/^[+-]?nan$/i.test(text)) return NaN;
  return text.length <= 60 && /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?$/.test(text) ? Number(text) : null;
}

function group(samples: readonly ExpositionSample[], told: ReadonlyMap<string, Told>): Family[] {
  const families = new Map<string, Family & { readonly samples: ExpositionSample[] }>();
  for (const sample of samples) {
    const name = findFamily(sample.name, told);
    const { type = 'untyped', unit = '' } = told.get(name) ?? {};
    const family = families.get(name) ?? { name, type, unit, samples: [] };
    families.set(name, family);
    family.samples.push(sample);
  }
  return [...families.values()];
}

/** The family whose name, with an ending that its type has, is that of the sample; else the name itself. */
function findFamily(name: string, told: ReadonlyMap<string, Told>): string {
  if (told.get(name)?.type !== undefined) return name;
  const at = name.lastIndexOf('_');
  const family = name.slice(0, Math.max(0, at));
  const type = told.get(family)?.type;
  return type !== undefined && (ENDINGS[type]?.includes(name.slice(at)) ?? false) ? family : name;
}
