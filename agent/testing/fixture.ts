import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { findMetric } from '@muster/proto/metric';
import { parseLabels } from '@muster/proto/labels';

import type { Sample, Source } from '../source.ts';

/** The root of the files that were captured from a machine; see the README there. */
export const DEBIAN = join(import.meta.dirname, '../sources/testdata/debian-12-x64-vm');

/** A root of its own with these files, path → text. */
export function makeRoot(files: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(join(tmpdir(), 'muster-root-'));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(root, dirname(path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

export function readFixture(path: string): string {
  return readFileSync(join(DEBIAN, path), 'utf8');
}

/** What a source reads now, as `metric{labels}` → value. Throws when it fails. */
export async function readSamples(source: Source): Promise<Record<string, number>> {
  const reading = await source.read();
  if (!reading.ok) throw new Error(reading.error);
  return Object.fromEntries(reading.value.samples.map(({ metric, labels, value }) => [`${metric}{${labels}}`, value]));
}

/** What is wrong with a sample by the catalogue of proto/metric.ts, or null. */
export function findSampleFault({ metric, labels, value }: Omit<Sample, 'metric'> & { metric: string }): string | null {
  const known = findMetric(metric);
  if (known === null) return `${metric} is not in the catalogue`;
  const parsed = parseLabels(labels);
  if (!parsed.ok) return `${metric}: ${parsed.error}`;
  const keys = Object.keys(parsed.value).join();
  if (!known.labels.some((shape) => shape.join() === keys)) return `${metric} has no shape ${keys}`;
  if (!(value >= known.min && value <= known.max)) return `${metric}{${labels}} is out of range: ${value}`;
  return null;
}
