import { domainToASCII } from 'node:url';
import { isIP } from 'node:net';

import { isRecord } from '@muster/proto/record';
import { err, ok, type Result } from '@muster/proto/result';
import * as v from 'valibot';

import { toPlainText } from '../../plain-text.ts';
import { absolutePath, choice, flag, HIDDEN, isScalar, list, map, scalar, time } from '../../settings.ts';
import {
  isReading,
  RECORD_TYPES,
  type Address,
  type Check,
  type Header,
  type Probe,
  type StatusRange,
} from './check.ts';
import { HEADERS_MAX, isHeader } from './headers.ts';

const EVERY_MS_DEFAULT = 30_000;
const EVERY_MS_MIN = 1_000;
const EVERY_MS_MAX = 86_400_000;
const TIMEOUT_MS_DEFAULT = 5_000;
const TIMEOUT_MS_MIN = 100;
const TIMEOUT_MS_MAX = 60_000;
const NAME_LENGTH_MAX = 64;
const BODY_LENGTH_MAX = 4_096;
/** A success, whichever. */
const STATUS_DEFAULT: readonly StatusRange[] = [[200, 299]];

const NAME = scalar((text) =>
  text !== '' && toPlainText(text, NAME_LENGTH_MAX) === text
    ? ok(text)
    : err(`a name of 1 to ${NAME_LENGTH_MAX} characters that can be seen`),
);

const COMMON = {
  name: v.optional(NAME),
  service: v.optional(NAME),
  every: v.optional(time(EVERY_MS_MIN, EVERY_MS_MAX), `${EVERY_MS_DEFAULT}ms`),
  timeout: v.optional(time(TIMEOUT_MS_MIN, TIMEOUT_MS_MAX)),
};
const FAMILY = { family: v.optional(choice(['4', '6'])) };
const TLS = {
  'server-name': v.optional(scalar(parseDomain)),
  'ca-file': v.optional(absolutePath),
  'insecure-tls': v.optional(flag, 'false'),
};
const ADDRESS = scalar(parseAddress);

const HEADERS = v.pipe(
  v.unknown(),
  v.rawTransform<unknown, readonly Header[]>(({ dataset, addIssue, NEVER }) => {
    const entries = isRecord(dataset.value) ? Object.entries(dataset.value) : null;
    const headers = entries?.map(([name, value]) => [name, isScalar(value) ? String(value) : ''] as const);
    const isRight = headers !== undefined && headers.length <= HEADERS_MAX;
    if (isRight && headers.every(([name, value]) => isHeader(name, value))) return headers;
    const message = `a map of up to ${HEADERS_MAX} headers of a request, each one line of ASCII, none that says how long it is`;
    addIssue({ message, input: HIDDEN });
    return NEVER;
  }),
);

const HTTP = {
  http: scalar(parseUrl, { isSecret: true }),
  method: v.optional(choice(['GET', 'HEAD', 'OPTIONS', 'POST']), 'GET'),
  status: v.optional(oneOrMore(scalar(parseStatus))),
  body: v.optional(scalar(parseBodyText)),
  'body-pattern': v.optional(scalar(parsePattern)),
  headers: v.optional(HEADERS),
  'header-file': v.optional(absolutePath),
  follow: v.optional(flag, 'false'),
};

const DNS = {
  dns: scalar(parseDomain),
  server: v.optional(scalar(parseServer)),
  type: v.optional(choice(RECORD_TYPES), 'A'),
  expect: v.optional(oneOrMore(scalar(parseRecord))),
};

type Readers = Readonly<Record<Probe['kind'], v.GenericSchema<unknown, Check>>>;
const READERS: Readers = {
  http: make(map({ ...COMMON, ...FAMILY, ...TLS, ...HTTP }), (said) => ({
    kind: 'http',
    url: said.http,
    method: said.method,
    family: familyOf(said.family),
    tls: tlsOf(said),
    headers: said.headers ?? [],
    headerFile: said['header-file'] ?? null,
    isFollowing: said.follow,
    status: said.status ?? STATUS_DEFAULT,
    body: said.body ?? null,
    bodyPattern: said['body-pattern'] ?? null,
  })),
  tcp: make(map({ ...COMMON, ...FAMILY, tcp: ADDRESS }), ({ tcp, family }) => ({
    kind: 'tcp',
    address: tcp,
    family: familyOf(family),
  })),
  tls: make(map({ ...COMMON, ...FAMILY, ...TLS, tls: ADDRESS }), (said) => ({
    kind: 'tls',
    address: said.tls,
    family: familyOf(said.family),
    tls: tlsOf(said),
  })),
  dns: make(map({ ...COMMON, ...DNS }), ({ dns, type, server = null, expect = [] }) => ({
    kind: 'dns',
    domain: dns,
    type,
    server,
    expect,
  })),
};
const KINDS = Object.keys(READERS) as readonly Probe['kind'][]; // the keys of just that

const NO_KIND = `a map with one of ${KINDS.join(', ')}, which says what is looked at`;
const NO_PING =
  `${NO_KIND}: an ICMP ping takes a right that the agent does without (CAP_NET_RAW), so ` +
  '"tcp: host:port" with a port that answers stands for it';

/** The list below `checks` in a configuration file. No fault shows a header, or an address of http. */
export const CHECKS_SCHEMA = list(
  v.lazy((input): v.GenericSchema<unknown, Check> => {
    const said = isRecord(input) ? input : {};
    const kind = KINDS.find((one) => Object.hasOwn(said, one));
    if (kind !== undefined) return READERS[kind];
    return refuse(Object.hasOwn(said, 'ping') || Object.hasOwn(said, 'icmp') ? NO_PING : NO_KIND);
  }),
);

type Common = {
  readonly name?: string | undefined;
  readonly service?: string | undefined;
  readonly every: number;
  readonly timeout?: number | undefined;
};

/** What was said of a check of one kind, as a check. Faults that lie between two settings are found here. */
function make<S extends v.GenericSchema<unknown, Common>>(
  schema: S,
  probeOf: (said: v.InferOutput<S>) => Probe,
): v.GenericSchema<unknown, Check> {
  return v.pipe(
    schema,
    v.rawTransform<v.InferOutput<S>, Check>(({ dataset, addIssue, NEVER }) => {
      const said = dataset.value;
      const { name, service = name, every: everyMs, timeout: timeoutMs = Math.min(everyMs, TIMEOUT_MS_DEFAULT) } = said;
      const probe = probeOf(said);
      const fault = (key: string, message: string) => {
        const path = [{ type: 'object', origin: 'value', input: {}, key, value: HIDDEN }] as const;
        addIssue({ message, input: HIDDEN, path: [...path] });
        return NEVER;
      };
      if (name === undefined || service === undefined) return fault('name', 'given: it is what the check is known by');
      if (timeoutMs > everyMs) return fault('timeout', 'at most as long as "every": a check never overlaps itself');
      if (probe.kind === 'http' && probe.method === 'HEAD' && (probe.body !== null || probe.bodyPattern !== null))
        return fault('method', 'GET, to find something in the body: HEAD is answered without one');
      if (probe.kind === 'http' && probe.isFollowing && !isReading(probe.method))
        return fault('follow', 'false, or the method GET or HEAD: no other is sent on to another address');
      return { name, service, everyMs, timeoutMs, probe };
    }),
  );
}

function refuse(message: string): v.GenericSchema<unknown, Check> {
  return v.pipe(
    v.unknown(),
    v.rawTransform<unknown, Check>(({ addIssue, NEVER }) => {
      addIssue({ message, input: HIDDEN });
      return NEVER;
    }),
  );
}

function oneOrMore<T>(schema: v.GenericSchema<unknown, T>): v.GenericSchema<unknown, readonly T[]> {
  const one = v.pipe(
    schema,
    v.transform((value): readonly T[] => [value]),
  );
  return v.lazy((input) => (Array.isArray(input) ? list(schema) : one));
}

function familyOf(said: '4' | '6' | undefined): 0 | 4 | 6 {
  return said === undefined ? 0 : said === '4' ? 4 : 6;
}

function tlsOf(said: {
  readonly 'server-name'?: string | undefined;
  readonly 'ca-file'?: string | undefined;
  readonly 'insecure-tls': boolean;
}) {
  return {
    serverName: said['server-name'] ?? null,
    caFile: said['ca-file'] ?? null,
    isInsecure: said['insecure-tls'],
  };
}

function parseUrl(text: string): Result<string, string> {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol)) return err('an address such as https://shop.example/health');
  if (url.username !== '' || url.password !== '')
    return err('an address without a password: headers or header-file have it');
  url.hash = '';
  return ok(url.href);
}

/** `db.internal:5432`, `10.0.0.2:53`, `[::1]:22`. */
function parseAddress(text: string): Result<Address, string> {
  const match = /^(\[[^\]]+\]|[^:[\]]+):(\d{1,5})$/.exec(text);
  const host = parseDomain(match?.[1]?.replace(/^\[(.*)\]$/, '$1') ?? '');
  const port = Number(match?.[2]);
  return host.ok && port >= 1 && port <= 65_535
    ? ok({ host: host.value, port })
    : err('a host and its port, such as db.internal:5432 or [::1]:22');
}

/** A name as the name servers know it, or an address. */
function parseDomain(text: string): Result<string, string> {
  if (isIP(text) !== 0) return ok(text);
  const name = domainToASCII(text);
  return /^[\w-]{1,63}(\.[\w-]{1,63})*\.?$/.test(name) && name.length <= 253 && !/^[\d.]+$/.test(name)
    ? ok(name)
    : err('a name such as shop.example, or an IP address');
}

function parseServer(text: string): Result<string, string> {
  if (isIP(text) !== 0) return ok(text);
  const address = parseAddress(text);
  if (!address.ok || isIP(address.value.host) === 0) return err('an IP address, such as 10.0.0.2 or 10.0.0.2:53');
  return ok(text);
}

function parseStatus(text: string): Result<StatusRange, string> {
  const match = /^([1-5])(\d\d|xx)$/.exec(text);
  if (match === null) return err('a status such as 200 or 2xx, or a list of them');
  const first = Number(match[1]) * 100;
  return ok(match[2] === 'xx' ? [first, first + 99] : [Number(text), Number(text)]);
}

/** The longest string of a text record, and of a name. */
function parseRecord(text: string): Result<string, string> {
  return text !== '' && text.length <= 255 ? ok(text) : err('a record such as 203.0.113.7 or "10 mail.example"');
}

function parseBodyText(text: string): Result<string, string> {
  return text !== '' && text.length <= BODY_LENGTH_MAX ? ok(text) : err(`a text of 1 to ${BODY_LENGTH_MAX} characters`);
}

function parsePattern(text: string): Result<RegExp, string> {
  if (text === '' || text.length > BODY_LENGTH_MAX) return err(`a pattern of 1 to ${BODY_LENGTH_MAX} characters`);
  try {
    return ok(new RegExp(text));
  } catch {
    return err('a regular expression as JavaScript has them');
  }
}
