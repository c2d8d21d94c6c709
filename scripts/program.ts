import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

import { isRecord } from '@muster/proto/record';

export type ProgramOptions = {
  readonly main: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Takes every line of its log: a function, or an open file. */
  readonly log: ((line: string) => void) | number;
};

export type Program = {
  /** Its process id; null when it could not be started. */
  readonly pid: number | null;
  /** The URL that the program sends when it is ready; null when it ended before, having said why in its log. */
  readonly ready: Promise<string | null>;
  /** The exit code, null after a signal. Never rejects. */
  readonly exited: Promise<number | null>;
  readonly hasEnded: () => boolean;
  /** Asks it to end, and waits for that; the exit code. */
  readonly stop: () => Promise<number | null>;
  /** Asks it to end, as `stop` does, and waits for nothing. */
  readonly terminate: () => void;
  readonly kill: () => void;
};

/**
 * Starts one of our programs in a process group of its own, so that Ctrl-C does not reach it past us. It ends by
 * itself when this process is gone, because its channel closes.
 */
export function startProgram({ main, args, env = {}, log }: ProgramOptions): Program {
  const child = spawn(process.execPath, [main, ...args], {
    detached: true,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', typeof log === 'number' ? log : 'pipe', 'ipc'],
  });
  if (child.stderr !== null && typeof log !== 'number') createInterface(child.stderr).on('line', log);
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
    pid: child.pid ?? null,
    ready,
    exited,
    hasEnded: () => child.exitCode !== null || child.signalCode !== null,
    stop: () => {
      child.kill('SIGTERM');
      return exited;
    },
    terminate: () => void child.kill('SIGTERM'),
    kill: () => void child.kill('SIGKILL'),
  };
}

/** Passes the lines of a log on: warnings and errors, or all if `isVerbose`. */
export function makePrinter(name: string, isVerbose = false): (line: string) => void {
  return (line) => {
    // What is not an event of the log is meant for the person in front of it: why the program cannot run.
    if (!line.startsWith('{')) process.stderr.write(`${line}\n`);
    else if (isVerbose || /"level":"(WARN|ERROR)"/.test(line)) process.stderr.write(`${name}: ${line}\n`);
  };
}
