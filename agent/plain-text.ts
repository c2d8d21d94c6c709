/**
 * What moves a cursor, turns text round, ends a line or is no text at all: controls, formats, halves of characters,
 * separators of lines and paragraphs. Source: Unicode Standard Annex 44, general categories.
 */
const UNSEEN = String.raw`[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]`;
const UNSEEN_PATTERN = new RegExp(UNSEEN, 'u');
const ALL_UNSEEN_PATTERN = new RegExp(UNSEEN, 'gu');

/** Whether a text is shown as it is, on one line, wherever it is put. */
export function isPlainText(text: string): boolean {
  return !UNSEEN_PATTERN.test(text);
}

/** A text of others, at most so long, such that it is shown as it is; each character that is not is `instead`. */
export function toPlainText(text: string, lengthMax: number, instead = '?'): string {
  return text.slice(0, lengthMax).replaceAll(ALL_UNSEEN_PATTERN, instead).trim();
}
