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
  /** Takes every line of its log, instead of it being passed on. */
  readonly onLine?: (line: string) => void;
};

export type Program = {
  readonly name: string;
  /** Its process id; null when it could not be started. */
  readonly pid: number | null;
  /** The URL that the program sends when it is ready; null when it ended before, having said why on stderr. */
  readonly ready: Promise<string | null>;
  /** The exit code, null after a signal. Never rejects. */
  readonly exited: Promise<number | null>;
  /** Asks it to end and waits for that. */
  stop(): Promise<void>;
  /** Asks it to end, as `stop` does, and waits for nothing. */
  terminate(): void;
  kill(): void;
};

/**
 * Starts one of our programs in a process group of its own, so that Ctrl-C does not reach it past us. It ends by
 * itself when this process is gone, because its channel closes.
 */
export function startProgram({ name, main, args, env, verbose, onLine }: ProgramOptions): Program {
  const child = spawn(process.execPath, [main, ...args], {
    detached: true,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  if (child.stderr !== null) {
    createInterface(child.stderr).on('line', (line) => {
      // What is not an event of the log is meant for the person in front of it: why the program cannot run.
      if (onLine !== undefined) onLine(line);
      else if (!line.startsWith('{')) process.stderr.write(`${line}\n`);
      else if (verbose || /"level":"(WARN|ERROR)"/.test(line)) process.stderr.write(`${name}: ${line}\n`);
    });
  }
  const exited = new Promise<number | null>((resolve) => {
    child.once('close', resolve);
    child.once('error', () => resolve(1));
  });
  const ready = new Promise<string | null>((resolve) => {
    child.on('message', (message) => {
      if (isRecord(message) && message['kind'] === 'ready') resolve(String(message['url']));
    });
    void exited.then(() => resolve(null));
  });
  return {
    name,
    pid: child.pid ?? null,
    ready,
    exited,
    async stop() {
      child.kill('SIGTERM');
      await exited;
    },
    terminate: () => void child.kill('SIGTERM'),
    kill: () => void child.kill('SIGKILL'),
  };
}
