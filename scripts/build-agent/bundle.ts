import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { isRecord } from '@muster/proto/record';
import { rolldown, type Plugin } from 'rolldown';

const AGENT = join(import.meta.dirname, '../../agent');
/** Unit by unit, as escapes count. */
const NOT_ASCII = /[^\0-\x7f]/g;
const MANIFEST = join(AGENT, 'package.json');

export function readAgentVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(MANIFEST, 'utf8'));
  if (!isRecord(manifest) || typeof manifest['version'] !== 'string')
    throw new Error(`Cannot find a version in ${MANIFEST}`);
  return manifest['version'];
}

/**
 * The agent and all that it imports as one CommonJS file, which is what a single executable can run. Minified, because
 * the engine keeps the text of what it runs in memory. The same from the same sources, wherever they lie.
 */
export async function bundleAgent(version: string): Promise<string> {
  const stamp: Plugin = {
    name: 'stamp',
    load: (id) => (id === MANIFEST ? JSON.stringify({ version }) : null),
  };
  const build = await rolldown({
    input: join(AGENT, 'main.ts'),
    cwd: AGENT,
    platform: 'node',
    // msgpackr does without its native part where that cannot be loaded.
    external: [/^node:/, 'msgpackr-extract'],
    plugins: [stamp],
    logLevel: 'warn',
  });
  try {
    const { output } = await build.generate({ format: 'cjs', minify: true, codeSplitting: false });
    // Where no character needs two bytes, the engine keeps the text at one byte each. Those that do stand within strings
    // and patterns only, where an escape means the same.
    return output[0].code.replaceAll(NOT_ASCII, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
  } finally {
    await build.close();
  }
}
