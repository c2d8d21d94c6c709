import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { isRecord } from '@muster/proto/record';

const ROOT = join(import.meta.dirname, '../..');

/** A program that is killed and started again, always in the same place. */
export type Victim = {
  readonly name: string;
  readonly start: () => Promise<void>;
  /** Ends it by SIGKILL; resolves when it is gone. */
  readonly kill: () => Promise<void>;
  /** Ends it by SIGTERM; gives the exit code and the milliseconds that it took. */
  readonly stop: () => Promise<{ readonly code: number | null; readonly tookMs: number }>;
};

export type CollectorVictim = Victim & { readonly port: () => number; readonly key: () => string };

/** A collector with its data in `directory`; on any free port at first, on the same one from then on. */
export function makeCollectorVictim(directory: string): CollectorVictim {
  let url = new URL('http://127.0.0.1:0');
  const data = join(directory, 'data');
  const victim = makeVictim('collector', join(directory, 'collector.log'), () => [
    join(ROOT, 'collector/main.ts'),
    '--port',
    String(Number(url.port)),
    '--live-port',
    '0',
    '--data',
    data,
  ]);
  return {
    ...victim,
    start: async () => {
      await victim.start();
      const message: unknown = await victim.message();
      if (!isRecord(message))
        throw new Error(`Cannot start the collector: ${join(directory, 'collector.log')} says why`);
      url = new URL(String(message['url']));
    },
    port: () => Number(url.port),
    key: () => url.hash.slice('#key='.length),
  };
}

export type AgentVictim = Victim & { readonly ledger: string };

/** An agent that takes itself for a machine of its own. */
export function makeAgentVictim(
  directory: string,
  name: string,
  { url, token }: { url: string; token: string },
): AgentVictim {
  const home = join(directory, name);
  const ledger = join(home, 'ledger');
  mkdirSync(join(home, 'root/etc'), { recursive: true });
  writeFileSync(ledger, '');
  writeFileSync(
    join(home, 'root/etc/machine-id'),
    `${Buffer.from(name).toString('hex').padStart(32, '0').slice(-32)}\n`,
  );
  const argv = [
    '--url',
    url,
    '--name',
    name,
    '--interval',
    '1s',
    '--state',
    join(home, 'state'),
    '--root',
    join(home, 'root'),
  ];
  const env = { MUSTER_TOKEN: token, CHAOS_LEDGER: ledger };
  const victim = makeVictim(name, join(home, 'log'), () => [join(import.meta.dirname, 'agent.ts'), ...argv], env);
  return { ...victim, ledger };
}

function makeVictim(
  name: string,
  log: string,
  args: () => readonly string[],
  env: Readonly<Record<string, string>> = {},
) {
  let child: ChildProcess | null = null;
  let exited: Promise<unknown> = Promise.resolve();

  async function end(signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null> {
    child?.kill(signal);
    await exited;
    return child?.exitCode ?? null;
  }

  return {
    name,
    start: async () => {
      const output = openSync(log, 'a');
      child = spawn(process.execPath, args(), {
        env: { ...process.env, ...env },
        stdio: ['ignore', output, output, 'ipc'],
      });
      exited = once(child, 'exit');
      closeSync(output);
      await once(child, 'spawn');
    },
    /** The first thing that it says to its parent, null when it ends before. */
    message: async (): Promise<unknown> => {
      if (child === null) return null;
      const [message] = await Promise.race([once(child, 'message'), exited.then(() => [null])]);
      return message;
    },
    kill: async () => void (await end('SIGKILL')),
    stop: async () => {
      const startedMs = performance.now();
      const code = await end('SIGTERM');
      return { code, tookMs: performance.now() - startedMs };
    },
  };
}
