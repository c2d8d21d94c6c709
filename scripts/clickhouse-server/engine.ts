import { createRequire } from 'node:module';
import { join } from 'node:path';

import { DataType, load, open } from 'ffi-rs';

// A process that is a ClickHouse server, from the library that the collector embeds: clickhouse-server/server.ts starts it.

// chdb is a dependency of the collector alone.
const { libchdbPath } = createRequire(join(import.meta.dirname, '../../collector/package.json'))('chdb/libchdb') as {
  readonly libchdbPath: () => string;
};

const args = ['clickhouse', ...process.argv.slice(2)];
open({ library: 'chdb', path: libchdbPath() });
// Returns when its statement ends, which is when its standard input does.
await load({
  library: 'chdb',
  funcName: 'chdb_query_cmdline',
  retType: DataType.I32,
  paramsType: [DataType.I32, DataType.StringArray],
  paramsValue: [args.length, args],
  runInNewThread: true,
});
