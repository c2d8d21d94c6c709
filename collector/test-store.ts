import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { EngineSettings } from './store/engine-settings.ts';
import { openEmbedded } from './store/embedded.ts';
import { migrate } from './store/migrations.ts';
import type { Engine } from './store/store.ts';

/** An empty store with its schema; `close` removes it. */
export type TestStore = { readonly engine: Engine; readonly close: () => Promise<void> };

export async function openTestStore(settings: EngineSettings = {}): Promise<TestStore> {
  const directory = await mkdtemp(join(tmpdir(), 'muster-store-'));
  const engine = await openEmbedded(directory, settings);
  await migrate(engine);
  return {
    engine,
    close: async () => {
      await engine.close();
      await rm(directory, { recursive: true });
    },
  };
}
