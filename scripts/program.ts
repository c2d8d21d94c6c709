import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

import { isRecord } from '@muster/proto/record';

export type ProgramOptions = {
  readonly name: string;
  readonly main: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Pass on every line of its log, not only warnings and errors. */
  readonly verbose: boolean;
};

export type Program = {
  readonly name: string;
  readonly pid: number | undefined;
  /** What the program says when it is ready (its url); rejects with its last words when it ends before. */
  readonly ready: Promise<string>;
  /** The exit code, null after a signal. Never rejects. */
  readonly exited: Promise<number | null>;
  /** Asks it to end and waits for that. */
  stop(): Promise<void>;
  kill(): void;
};

/**
 * Starts one of our programs in a process group of its own, so that Ctrl-C does not reach it past us. It ends by
 * itself when this process is gone, because its channel closes.
 */
export function startProgram({ name, main, args, env, verbose }: ProgramOptions): Program {
  const child = spawn(process.execPath, [main, ...args], {
    detached: true,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let lastWords = '';
  if (child.stderr !== null) {
    createInterface(child.stderr).on('line', (line) => {
      const isNews = !line.startsWith('{') || /"level":"(WARN|ERROR)"/.test(line);
      if (isNews) lastWords = line;
      if (verbose || (isNews && isReady)) process.stderr.write(`${name}: ${line}\n`);
    });
  }
  let isReady = false;
  const exited = new Promise<number | null>((resolve) => {
    child.once('close', resolve);
    child.once('error', () => resolve(1));
  });
  const ready = new Promise<string>((resolve, reject) => {
    child.on('message', (message) => {
      if (!isRecord(message) || message['kind'] !== 'ready') return;
      isReady = true;
      resolve(typeof message['url'] === 'string' ? message['url'] : '');
    });
    child.once('error', reject);
    child.once('close', (code) => reject(new Error(lastWords === '' ? `The ${name} ended with ${code}` : lastWords)));
  });
  ready.catch(() => undefined); // whoever waits for it handles it
  return {
    name,
    pid: child.pid,
    ready,
    exited,
    async stop() {
      child.kill('SIGTERM');
      await exited;
    },
    kill: () => void child.kill('SIGKILL'),
  };
}
