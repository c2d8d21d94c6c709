import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

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

/** Looks every 50 ms until something is there; throws after 20 s. */
export async function until<T>(what: string, look: () => T | null | Promise<T | null>): Promise<T> {
  for (let attempt = 0; attempt < 400; attempt += 1) {
    const found = await look();
    if (found !== null) return found;
    await sleep(50);
  }
  throw new Error(`Waited in vain for ${what}`);
}
