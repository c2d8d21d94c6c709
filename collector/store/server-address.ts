import { err, ok, type Result } from '@muster/proto/result';

/** A database on a ClickHouse server, and who comes to it. `origin` holds no secret. */
export type ServerAddress = {
  readonly origin: string;
  readonly user: string;
  readonly password: string;
  readonly database: string;
};

const DATABASE = 'muster';
/** ClickHouse names folders after databases, and a statement cannot bind a name. */
const NAME = /^[A-Za-z_]\w{0,62}$/;

/** `http://user:password@host:8123/database`; without a user `default`, without a database `muster`. */
export function parseServerAddress(text: string): Result<ServerAddress, string> {
  const right = 'an address such as http://user:password@host:8123/muster';
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol) || url.search !== '' || url.hash !== '') return err(right);
  const database = url.pathname.replace(/^\//, '') || DATABASE;
  if (!NAME.test(database)) return err(`${right}, its database a name of letters, digits and _`);
  if (database === 'system' || /^information_schema$/i.test(database))
    return err(`${right}; its database may not be ClickHouse's own`);
  try {
    const user = decodeURIComponent(url.username) || 'default';
    return ok({ origin: url.origin, user, password: decodeURIComponent(url.password), database });
  } catch {
    return err(`${right}, with % in a password written as %25`);
  }
}

/** The address without the password, to be shown. */
export function formatServerAddress({ origin, database }: ServerAddress): string {
  return `${origin}/${database}`;
}
