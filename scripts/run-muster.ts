import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';

import { until } from './until.ts';

export type RunningMuster = {
  readonly child: ChildProcess;
  /** What it has printed so far, both streams together. */
  readonly said: { text: string };
  /** The exit code, null after a signal. */
  readonly exited: Promise<number | null>;
  /** The URL that it prints when everything runs. */
  readonly url: () => Promise<URL>;
};

/** Runs `npm start` as a person does, for tests: the same program, its words and its end. */
export function runMuster(args: readonly string[], nodeArgs: readonly string[] = []): RunningMuster {
  const child = spawn(process.execPath, [...nodeArgs, join(import.meta.dirname, 'run.mjs'), 'start', ...args]);
  const said = { text: '' };
  child.stdout.on('data', (chunk: Buffer) => (said.text += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (said.text += chunk.toString()));
  const exited = new Promise<number | null>((resolve) => {
    child.once('close', resolve);
  });
  return {
    child,
    said,
    exited,
    url: () =>
      until('the URL', () => {
        const match = /http:\/\/\S+/.exec(said.text);
        return match === null ? null : new URL(match[0]);
      }),
  };
}
