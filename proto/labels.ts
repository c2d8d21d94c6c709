import { err, ok, type Result } from './result.ts';

/** The longest canonical label string that travels, in UTF-16 units: a mount point (4,096) would not fit in full. */
export const LABELS_LENGTH_MAX = 1024;

export type Labels = Readonly<Record<string, string>>;

/**
 * The canonical text of a label set, its identity on the wire and in the store: `cpu=0,cpu.mode=user`, keys sorted by
 * code unit; a backslash stands before `\`, `,` and `=` wherever they are part of a key or a value. No labels: ''.
 */
export function formatLabels(labels: Labels): string {
  return Object.keys(labels)
    .toSorted()
    .map((key) => `${escapeText(key)}=${escapeText(labels[key] ?? '')}`)
    .join(',');
}

/** Reads a canonical label text back. Anything that `formatLabels` does not write is refused, with the reason. */
export function parseLabels(text: string): Result<Labels, string> {
  const labels: Record<string, string> = Object.create(null);
  if (text === '') return ok(labels);
  let previousKey: string | null = null;
  for (const pair of splitAt(text, ',')) {
    const [key, value, ...rest] = splitAt(pair, '=').map(unescapeText);
    if (key === undefined || key === '' || value === undefined || rest.length > 0)
      return err(`"${pair}" is not key=value`);
    if (previousKey !== null && key <= previousKey) return err(`"${key}" does not sort after "${previousKey}"`);
    labels[key] = value;
    previousKey = key;
  }
  if (formatLabels(labels) !== text) return err('a backslash stands where none is needed');
  return ok(labels);
}

function escapeText(text: string): string {
  return text.replaceAll(/[\\,=]/g, (character) => `\\${character}`);
}

function unescapeText(text: string): string {
  return text.replaceAll(/\\(.)/gs, '$1');
}

/** Splits at a separator that no backslash stands before. */
function splitAt(text: string, separator: string): string[] {
  const parts: string[] = [];
  let start = 0;
  for (let i = 0; i < text.length; i += 1) {
    if (text[i] === '\\') i += 1;
    else if (text[i] === separator) {
      parts.push(text.slice(start, i));
      start = i + 1;
    }
  }
  parts.push(text.slice(start));
  return parts;
}
