import { spawn } from 'node:child_process';
import type { Readable } from 'node:stream';

import { describeError } from '@muster/proto/log';

import { WORKS } from '../commands/self-test.ts';

/** A start takes a tenth of a second, a slow machine's ten times that; one that reads dead file servers is given up. */
const SELF_TEST_MS_MAX = 60_000;
const WORDS_LENGTH_MAX = 500;

/**
 * Lets another binary of the agent show that it works here, with the arguments of this one. The reason why it does not,
 * or null. No other process is started but for smartctl and nvidia-smi, by those who switch them on.
 */
export function runSelfTest(path: string, argv: readonly string[], signal: AbortSignal): Promise<string | null> {
  return new Promise((resolve) => {
    const child = spawn(path, ['self-test', ...argv], {
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: SELF_TEST_MS_MAX,
      killSignal: 'SIGKILL',
      signal,
    });
    const said = keepStart(child.stdout);
    const faults = keepStart(child.stderr);
    child.on('error', (cause) => resolve(describeError(cause)));
    child.on('close', (code, killedBy) => {
      if (said.text === WORKS) resolve(null);
      else resolve(`it ended with ${code ?? killedBy} ${faults.text.trim()}`.trim());
    });
  });
}

function keepStart(stream: Readable): { readonly text: string } {
  const kept = { text: '' };
  stream.setEncoding('utf8').on('data', (text: string) => {
    kept.text = `${kept.text}${text}`.slice(0, WORDS_LENGTH_MAX);
  });
  return kept;
}
