import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { startProgram, type Program } from '../program.ts';
import { startCollector, type RunningCollector } from '../start-collector.ts';

/** A program that is killed and started again, always in the same place. */
export type Victim = {
  readonly start: () => Promise<void>;
  /** Ends it by SIGKILL; resolves when it is gone. */
  readonly kill: () => Promise<void>;
  /** Ends it by SIGTERM; gives the exit code and the milliseconds that it took. */
  readonly stop: () => Promise<{ readonly code: number | null; readonly tookMs: number }>;
};

export type CollectorVictim = Victim & { readonly running: () => RunningCollector };

/** A collector with its data in `directory`, already started; on the same port for ever. */
export async function openCollectorVictim(directory: string): Promise<CollectorVictim> {
  const data = join(directory, 'data');
  const onLine = makeLogFile(join(directory, 'collector.log'));
  let running = await startCollector({ data, onLine });
  return {
    start: async () => {
      running = await startCollector({ data, port: running.port, onLine });
    },
    ...makeEnds(() => running),
    running: () => running,
  };
}

export type AgentVictim = Victim & { readonly name: string; readonly ledger: string };

/** An agent that takes itself for a machine of its own, already started. */
export function openAgentVictim(
  directory: string,
  name: string,
  { url, token }: { readonly url: string; readonly token: string },
): AgentVictim {
  const home = join(directory, name);
  const ledger = join(home, 'ledger');
  const root = join(home, 'root');
  mkdirSync(join(root, 'etc'), { recursive: true });
  writeFileSync(ledger, '');
  writeFileSync(join(root, 'etc/machine-id'), `${Buffer.from(name).toString('hex').padStart(32, '0').slice(-32)}\n`);
  const args = ['--url', url, '--name', name, '--interval', '1s', '--state', join(home, 'state'), '--root', root];
  const start = (): Program =>
    startProgram({
      main: join(import.meta.dirname, 'agent.ts'),
      args,
      env: { MUSTER_TOKEN: token, CHAOS_LEDGER: ledger },
      log: makeLogFile(join(home, 'log')),
    });
  let running = start();
  return { name, ledger, start: async () => void (running = start()), ...makeEnds(() => running) };
}

function makeLogFile(path: string): (line: string) => void {
  return (line) => appendFileSync(path, `${line}\n`);
}

function makeEnds(running: () => Program): Pick<Victim, 'kill' | 'stop'> {
  return {
    kill: async () => {
      running().kill();
      await running().exited;
    },
    stop: async () => {
      const startedMs = performance.now();
      const code = await running().stop();
      return { code, tookMs: performance.now() - startedMs };
    },
  };
}
