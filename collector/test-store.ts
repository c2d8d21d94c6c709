import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { startClickHouseServer, type ClickHouseServer } from '../scripts/clickhouse-server/server.ts';
import type { EngineSettings } from './store/engine-settings.ts';
import { openEmbedded } from './store/embedded.ts';
import { migrate } from './store/migrations.ts';
import type { ServerAddress } from './store/server-address.ts';
import { openServer } from './store/server.ts';
import type { Engine } from './store/store.ts';

/**
 * What the stores of tests are kept in: vitest.config.ts runs what every store must stand on both. A file that is about one
 * of them opens it itself. A property is tried less often on the server: what it could find there is not in its logic.
 */
export const DRIVER = process.env['MUSTER_TEST_DRIVER'] === 'server' ? 'server' : 'embedded';

/** An empty store; `close` removes it. */
export type TestStore = { readonly engine: Engine; readonly close: () => Promise<void> };

/** A store with its schema. `settings`: of the embedded engine. */
export async function openTestStore(settings: EngineSettings = {}): Promise<TestStore> {
  const store = await openBareStore(settings);
  await migrate(store.engine);
  return store;
}

/** A store without anything. */
export async function openBareStore(settings: EngineSettings = {}): Promise<TestStore> {
  const directory = await mkdtemp(join(tmpdir(), 'muster-store-'));
  const server = DRIVER === 'server' ? await startTestServer(join(directory, 'server')) : null;
  const engine = server === null ? await openEmbedded(directory, settings) : await openServer(server.address);
  return {
    engine,
    async close() {
      await engine.close();
      await server?.kill();
      await rm(directory, { recursive: true });
    },
  };
}

/** The same engine, whose commands call `begin` first, which throws where they are to fail. */
export function makeFailing(engine: Engine, begin: () => void): Engine {
  const wrap =
    (run: (sql: string) => Promise<void>) =>
    async (sql: string): Promise<void> => {
      begin();
      await run(sql);
    };
  return {
    ...engine,
    command: wrap((sql) => engine.command(sql)),
    swap: (task) => engine.swap((command) => task(wrap(command))),
  };
}

/** A server, and how its one user comes to an empty database on it. */
export type TestServer = ClickHouseServer & { readonly address: ServerAddress; readonly url: string };

const PASSWORD = 's/e:c@ret%41';

export async function startTestServer(path: string, port = 0): Promise<TestServer> {
  const users = [
    // No more than deploy/README.md asks for.
    {
      name: 'muster',
      password: PASSWORD,
      grants: ['ALL ON fleet.*', 'ALL ON other.*', 'TABLE ENGINE ON *', 'SELECT ON system.*'],
    },
    { name: 'guest', password: PASSWORD, grants: ['SELECT ON fleet.*', 'SELECT ON system.*'] },
    { name: 'reader', password: PASSWORD, mayWrite: false },
  ];
  const server = await startClickHouseServer({ path, port, users });
  const address = { origin: `http://127.0.0.1:${server.port}`, user: 'muster', password: PASSWORD, database: 'fleet' };
  const url = `http://muster:${encodeURIComponent(PASSWORD)}@127.0.0.1:${server.port}/fleet`;
  return { ...server, address, url };
}
