import { parsePort, parseText, type Option } from '@muster/proto/options';
import { err, ok } from '@muster/proto/result';

import { startClickHouseServer, type ServerUser } from './clickhouse-server/server.ts';
import { readOptions, say } from './command.ts';

const USAGE = `clickhouse-server: a ClickHouse server on loopback to try and test with, from the library that the collector
embeds; not for data that matters

  node scripts/clickhouse-server.ts --path /tmp/clickhouse --user muster:secret

It runs until SIGTERM, or Ctrl-C.`;

const options = readOptions(USAGE, {
  port: {
    placeholder: 'PORT',
    help: 'port for HTTP on 127.0.0.1 (default 8123)',
    default: 8123,
    parse: parsePort,
  } satisfies Option<number>,
  path: {
    placeholder: 'DIRECTORY',
    help: 'where it keeps its data (default /tmp/muster-clickhouse)',
    default: '/tmp/muster-clickhouse',
    parse: parseText,
  } satisfies Option<string>,
  user: {
    placeholder: 'USER',
    help: 'who may come, as name:password (default muster:muster)',
    default: { name: 'muster', password: 'muster' },
    parse: (text) => {
      const [, name, password] = /^([a-z]\w*):(.+)$/.exec(text) ?? [];
      const isUser = name !== undefined && password !== undefined && name !== 'default';
      return isUser ? ok({ name, password }) : err('a name and a password as muster:secret');
    },
  } satisfies Option<ServerUser>,
});

const server = await startClickHouseServer({ path: options.path, port: options.port, users: [options.user] });
say(`ready: http://${options.user.name}:…@127.0.0.1:${server.port}/muster`);
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void server.stop());
await server.exited;
