import { readdirSync, readFileSync } from 'node:fs';
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

test('every drop-in that the agent advises is there, and the guide to the service tells of each', () => {
  const named = new Set<string>();
  for (const file of readdirSync(import.meta.dirname, { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.ts') || file.includes('node_modules') || file.includes('.test.')) continue;
    const text = readFileSync(join(import.meta.dirname, file), 'utf8');
    for (const [name] of text.matchAll(/(?<![/\w])[a-z-]+\.conf\b/g)) named.add(name);
  }
  const dropIns = readdirSync(join(DEPLOY, 'drop-ins'));
  const service = readFileSync(join(DEPLOY, 'README.md'), 'utf8');
  expect(named.size).toBeGreaterThanOrEqual(4);
  expect([...named].filter((name) => !dropIns.includes(name))).toEqual([]);
  expect(dropIns.filter((name) => !service.includes(`\`${name}\``))).toEqual([]);
});

test('the guide names every source', () => {
  expect(SOURCE_NAMES.filter((name) => !GUIDE.includes(`\`${name}\``))).toEqual([]);
});
