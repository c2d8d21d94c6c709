import { formatLabels, LABELS_LENGTH_MAX, parseLabels } from '@muster/proto/labels';
import { err, ok, type Result } from '@muster/proto/result';

import { isPlainText } from '../plain-text.ts';
import type { Refusal } from './refusal.ts';

/** More are a mistake; each combination of their values is a series. */
export const LABELS_MAX = 16;
export const LABEL_LENGTH_MAX = 200;
/** With room for a quantile. */
const LENGTH_MAX = LABELS_LENGTH_MAX - 32;
const KEY_PATTERN = /^[A-Za-z_][A-Za-z0-9_.:/-]{0,62}$/;
/** The label that tells the quantiles of one metric apart; nobody else may give it. */
export const QUANTILE = 'quantile';
const KEYS_FORBIDDEN: ReadonlySet<string> = new Set(['constructor', 'prototype', QUANTILE]);

/**
 * The canonical text of labels that others gave. A value that is empty is no label. Refused are: too many, a key that is no
 * plain word or one of the language's own (`__proto__`), a key twice, a value that is too long or not plain text.
 */
export function toLabels(pairs: Iterable<readonly [key: string, value: string]>): Result<string, Refusal> {
  const labels = new Map<string, string>();
  for (const [key, value] of pairs) {
    if (value === '') continue;
    if (!KEY_PATTERN.test(key) || key.startsWith('__') || KEYS_FORBIDDEN.has(key)) return err('labels');
    if (value.length > LABEL_LENGTH_MAX || !isPlainText(value)) return err('labels');
    if (labels.has(key) || labels.size >= LABELS_MAX) return err('labels');
    labels.set(key, value);
  }
  const text = formatLabels(Object.fromEntries(labels));
  return text.length <= LENGTH_MAX ? ok(text) : err('labels');
}

/** The same labels, and a quantile, 0…1; of 1 it is the largest value. */
export function addQuantile(labels: string, quantile: number): string {
  const parsed = parseLabels(labels);
  if (!parsed.ok) throw new Error(`Cannot add a quantile to ${labels}: ${parsed.error}`);
  return formatLabels({ ...parsed.value, [QUANTILE]: String(quantile) });
}
