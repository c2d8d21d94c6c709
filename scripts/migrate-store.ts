import { parseServerAddress, type ServerAddress } from '@muster/collector/store/server-address';
import { parseSwitch, parseText, type Option } from '@muster/proto/options';

import { runCommand, say } from './command.ts';
import { migrateStore } from './migrate-store/migrate-store.ts';

await runCommand({
  usage: `migrate-store: copies the store of a collector that does not run to a ClickHouse server, on which the collector then goes on

  node scripts/migrate-store.ts --from /var/lib/muster --to http://user:password@host:8123/muster

Killed in the middle, it goes on where it was when it is run again. The data directory keeps all that it has.`,
  options: {
    from: {
      placeholder: 'DIRECTORY',
      help: 'the data directory of the collector (default /var/lib/muster)',
      default: '/var/lib/muster',
      parse: parseText,
    } satisfies Option<string>,
    to: {
      env: 'MUSTER_STORE_URL',
      secret: true,
      placeholder: 'URL',
      help: 'the database, which may be missing (default http://127.0.0.1:8123/muster)',
      default: { origin: 'http://127.0.0.1:8123', user: 'default', password: '', database: 'muster' },
      parse: parseServerAddress,
    } satisfies Option<ServerAddress>,
    overwrite: {
      placeholder: 'BOOLEAN',
      help: 'delete what the database holds of another store (default false)',
      default: false,
      parse: parseSwitch,
    } satisfies Option<boolean>,
  },
  async prove({ from, to, overwrite }) {
    await migrateStore({ data: from, to, isOverwriting: overwrite, say });
    return true;
  },
});
