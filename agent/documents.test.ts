import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { parseConfig } from './config.ts';
import { SOURCE_NAMES } from './sources.ts';

const DEPLOY = join(import.meta.dirname, '../deploy');
const GUIDE = readFileSync(join(DEPLOY, 'agent.md'), 'utf8');

/** The faults of a configuration file of this text. */
function faultsOf(text: string): readonly string[] {
  const argv = ['--config', '/agent.yaml', '--url', 'https://muster.example'];
  const config = parseConfig({ argv, env: {}, readFile: () => text, listFiles: () => [] }, 'the-host');
  return config.ok ? [] : config.error;
}

test('what the guide shows of a configuration is right, and so is the file of the package with all of it switched on', () => {
  const shown = [...GUIDE.matchAll(/```yaml\n(.*?)```/gs)].map(([, text = '']) => text);
  expect(shown.length).toBeGreaterThanOrEqual(3);
  const example = readFileSync(join(DEPLOY, 'agent.yaml'), 'utf8').replaceAll(/^#(?! \S)/gm, '');
  for (const text of [...shown.slice(0, 2), example]) expect(faultsOf(text)).toEqual([]);
});

test('the guide names every source', () => {
  expect(SOURCE_NAMES.filter((name) => !GUIDE.includes(`\`${name}\``))).toEqual([]);
});
