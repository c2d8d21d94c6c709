import { request as startRequest, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';

import { err, ok, type Result } from '@muster/proto/result';

import { BODY_BYTES_MAX, findPattern, findText } from './body.ts';
import { isReading, measure, type Failure, type Header, type HttpProbe, type Run, type StatusRange } from './check.ts';
import { openConnection } from './connect.ts';
import { describeFault } from './failure.ts';
import { readHeaderFile } from './headers.ts';
import { secure } from './secure.ts';

/** All headers of an answer together; what has more does not end. */
const HEADER_BYTES_MAX = 16 << 10;
/** Answers of status 1xx before the real one. */
const INTERIM_MAX = 20;
/** As browsers do, or nearly: what sends on more often than this sends in a circle. */
const REDIRECTS_MAX = 5;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** Asks a web server, over a connection of its own: what is measured is what somebody sees who comes for the first time. */
export async function probeHttp(probe: HttpProbe, run: Run): Promise<Result<null, Failure>> {
  const more = readHeaderFile(probe.headerFile);
  if (!more.ok) return more;
  const own = new URL(probe.url);
  const headers = [...probe.headers, ...more.value];
  let url = own;
  for (let sent = 0; sent <= REDIRECTS_MAX; sent += 1) {
    // What is secret is for the server that was named, and for no other.
    const answer = await ask(url, probe, url.origin === own.origin ? headers : [], run);
    if (!answer.ok) return answer;
    run.trace.statusCode = answer.value.status;
    if (!probe.isFollowing || !REDIRECTS.has(answer.value.status)) return judge(answer.value, probe);
    const next = parseLocation(answer.value.location, url);
    if (next === null)
      return err({ type: 'redirect', words: 'the server sends on, but not to an address of http or https' });
    url = next;
  }
  return err({ type: 'redirect', words: `the server sends on more than ${REDIRECTS_MAX} times` });
}

type Answer = {
  readonly status: number;
  readonly location: string;
  readonly isEncoded: boolean;
  readonly isWhole: boolean;
  readonly body: Buffer;
};

async function ask(url: URL, probe: HttpProbe, headers: readonly Header[], run: Run): Promise<Result<Answer, Failure>> {
  const isSecure = url.protocol === 'https:';
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const port = Number(url.port) || (isSecure ? 443 : 80);
  const connection = await openConnection({ host, port }, probe.family, run);
  if (!connection.ok) return connection;
  // The name that was configured is that of the server that was.
  const isOwn = url.host === new URL(probe.url).host;
  const tls = isOwn ? probe.tls : { ...probe.tls, serverName: null };
  const socket = isSecure ? await secure(connection.value, host, tls, run) : connection;
  if (!socket.ok) return socket;
  const head = await measure(run, 'first-byte', () => sendRequest(socket.value, url, { probe, headers }));
  if (!head.ok) return head;
  const isMatching = probe.body !== null || probe.bodyPattern !== null;
  const body = await measure(run, 'transfer', () => readBody(head.value, isMatching));
  socket.value.destroy();
  if (!body.ok) return body;
  const { statusCode = 0, headers: said } = head.value;
  const isEncoded = (said['content-encoding'] ?? 'identity').toLowerCase() !== 'identity';
  return ok({ status: statusCode, location: said.location ?? '', isEncoded, ...body.value });
}

function sendRequest(
  socket: Socket,
  url: URL,
  { probe, headers }: { readonly probe: HttpProbe; readonly headers: readonly Header[] },
): Promise<Result<IncomingMessage, Failure>> {
  return new Promise((resolve) => {
    const request = startRequest({
      createConnection: () => socket,
      method: probe.method,
      path: `${url.pathname}${url.search}`,
      headers: {
        host: url.host,
        'user-agent': 'Muster-Check/1',
        accept: '*/*',
        'accept-encoding': 'identity', // nothing is inflated here
        connection: 'close',
        ...Object.fromEntries(headers.map(([name, value]) => [name.toLowerCase(), value])),
      },
      maxHeaderSize: HEADER_BYTES_MAX,
    });
    request.once('response', (answer) => resolve(ok(answer)));
    let interim = 0;
    request.on('information', () => {
      interim += 1;
      if (interim > INTERIM_MAX) resolve(err({ type: 'protocol', words: 'the interim answers have no end' }));
    });
    // An answer to what nobody asked: 101 is its status, as it says.
    request.once('upgrade', (answer: IncomingMessage) => resolve(ok(answer)));
    request.on('error', (cause) => {
      const isEmpty = cause.message === 'socket hang up';
      resolve(
        err(
          isEmpty
            ? { type: 'closed', words: 'the other side cut the connection without an answer' }
            : describeFault(cause),
        ),
      );
    });
    request.end();
  });
}

/** Reads up to the limit. What is not looked through is not kept. */
function readBody(
  answer: IncomingMessage,
  isKept: boolean,
): Promise<Result<Pick<Answer, 'body' | 'isWhole'>, Failure>> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const finish = (isWhole: boolean) => resolve(ok({ body: Buffer.concat(chunks), isWhole }));
    if (answer.statusCode === 101) return finish(true); // what follows is no body
    answer.on('data', (chunk: Buffer) => {
      const taken = chunk.subarray(0, BODY_BYTES_MAX - bytes);
      bytes += taken.length;
      if (isKept && taken.length > 0) chunks.push(taken);
      if (bytes < BODY_BYTES_MAX) return;
      answer.pause();
      finish(false);
    });
    answer.once('end', () => finish(true));
    answer.on('error', (cause) => {
      const { type, words } = describeFault(cause);
      resolve(err(type === 'closed' ? BROKEN_OFF : { type, words }));
    });
    answer.once('close', () => resolve(err(BROKEN_OFF)));
  });
}

const BROKEN_OFF: Failure = { type: 'closed', words: 'the answer breaks off' };

function judge(answer: Answer, { status, body, bodyPattern, isFollowing, method }: HttpProbe): Result<null, Failure> {
  if (!status.some(([from, to]) => answer.status >= from && answer.status <= to)) {
    const mayFollow = REDIRECTS.has(answer.status) && !isFollowing && isReading(method);
    const hint = mayFollow ? ' ("follow: true" goes where it sends on)' : '';
    return err({ type: 'status', words: `status ${answer.status}, not ${formatStatus(status)}${hint}` });
  }
  if (body === null && bodyPattern === null) return ok(null);
  if (answer.isEncoded) {
    return err({ type: 'body', words: 'the body is compressed, although it was asked for as it is' });
  }
  const where = answer.isWhole ? 'in the body' : 'in the first MiB of the body';
  if (body !== null && findText(answer.body, body) === 'missing') {
    return err({ type: 'body', words: `the text is not ${where}` });
  }
  const found = bodyPattern === null ? 'found' : findPattern(answer.body, bodyPattern);
  if (found === 'found') return ok(null);
  const words =
    found === 'missing' ? `body-pattern matches nothing ${where}` : 'body-pattern takes too long on this body';
  return err({ type: 'body', words });
}

/** `2xx`, `200`, `200 or 204`. */
export function formatStatus(ranges: readonly StatusRange[]): string {
  return ranges.map(([from, to]) => (from === to ? String(from) : `${Math.floor(from / 100)}xx`)).join(' or ');
}

function parseLocation(location: string, from: URL): URL | null {
  const url = location === '' ? null : URL.parse(location, from.href);
  return url !== null && /^https?:$/.test(url.protocol) ? url : null;
}
