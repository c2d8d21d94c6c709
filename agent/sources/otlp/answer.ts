import { gunzipSync } from 'node:zlib';

import { describeError } from '@muster/proto/log';
import { err, ok, type Result } from '@muster/proto/result';

import { codeOf } from '../../code-of.ts';
import type { Refused } from '../../custom/intake.ts';
import type { Point } from '../../custom/point.ts';
import { REFUSALS } from '../../custom/refusal.ts';
import { parseExport } from './export.ts';
import { findJsonFault } from './json-fault.ts';
import { decodeProtobuf, encodeProtobuf } from './protobuf.ts';
import { EXPORT_METRICS_REQUEST } from './schema.ts';

export const BODY_BYTES_MAX = 1024 * 1024;
export const INFLATED_BYTES_MAX = 4 * 1024 * 1024;

export type Encoding = 'json' | 'protobuf';
export type Answer = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
};
export type Refusing = { readonly status: number; readonly message: string };

/** What of a request says whether it is an export, before its body is read. Names of headers in lower case. */
export type RequestHead = {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
};

/**
 * Whether a request may bring metrics, and in which form. Any page in a browser can post to this machine; but no browser
 * keeps quiet about the origin then, or sends a content type like these without asking first; and a name of somebody's own
 * that leads here is in `Host`. `isHost` says which are ours.
 */
export function judgeHead(head: RequestHead, isHost: (name: string) => boolean): Result<Encoding, Refusing> {
  const { method, path, headers } = head;
  if (headers['origin'] !== undefined) return refuse(403, 'This takes metrics from programs, not from web pages');
  if (!isHost(hostnameOf(headers['host']))) return refuse(403, 'The Host header must name this machine');
  if (path === '/v1/traces' || path === '/v1/logs')
    return refuse(404, `Muster takes metrics only; switch off the exporter of ${path.slice('/v1/'.length)}`);
  if (path !== '/v1/metrics') return refuse(404, 'Metrics are taken at /v1/metrics');
  if (method !== 'POST') return refuse(405, 'Metrics are posted');
  const type = String(headers['content-type'] ?? '')
    .split(';', 1)[0]
    ?.trim()
    .toLowerCase();
  const encoding = type === 'application/json' ? 'json' : type === 'application/x-protobuf' ? 'protobuf' : null;
  if (encoding === null) return refuse(415, 'Content-Type must be application/json or application/x-protobuf');
  const packing = headers['content-encoding'] ?? 'identity';
  if (packing !== 'identity' && packing !== 'gzip') return refuse(415, 'Content-Encoding must be gzip, or none');
  if (Number(headers['content-length'] ?? 0) > BODY_BYTES_MAX) return err(TOO_LARGE);
  return ok(encoding);
}

export const TOO_LARGE: Refusing = {
  status: 413,
  message: `A body may be ${BODY_BYTES_MAX} bytes, and inflate to ${INFLATED_BYTES_MAX}; export fewer metrics at once`,
};

function refuse(status: number, message: string): Result<never, Refusing> {
  return err({ status, message });
}

/** Without its port: `127.0.0.1`, `localhost`, `[::1]`. */
function hostnameOf(host: string | string[] | undefined): string {
  return String(host ?? '')
    .toLowerCase()
    .replace(/:\d+$/, '');
}

/** The points of a body of any origin. */
export function decodeBody(body: Buffer, encoding: Encoding, isGzip: boolean): Result<readonly Point[], Refusing> {
  const inflated = isGzip ? inflate(body) : ok(body);
  if (!inflated.ok) return inflated;
  const message = encoding === 'json' ? decodeJson(inflated.value) : decodeMessage(inflated.value);
  if (!message.ok) return message;
  const points = parseExport(message.value);
  return points.ok ? points : refuse(400, points.error);
}

function inflate(body: Buffer): Result<Buffer, Refusing> {
  try {
    return ok(gunzipSync(body, { maxOutputLength: INFLATED_BYTES_MAX }));
  } catch (cause) {
    return codeOf(cause) === 'ERR_BUFFER_TOO_LARGE' ? err(TOO_LARGE) : refuse(400, 'The body is not gzip');
  }
}

function decodeJson(body: Buffer): Result<unknown, Refusing> {
  const fault = findJsonFault(body);
  if (fault !== null) return refuse(400, `The body is refused: ${fault}`);
  try {
    return ok(JSON.parse(body.toString()));
  } catch (cause) {
    return refuse(400, `The body is not JSON: ${describeError(cause).slice(0, 100)}`);
  }
}

function decodeMessage(body: Buffer): Result<unknown, Refusing> {
  const message = decodeProtobuf(body, EXPORT_METRICS_REQUEST);
  return message === null ? refuse(400, 'The body is no ExportMetricsServiceRequest') : ok(message);
}

/** What an exporter is told that was heard; with how much of it was left out, and why. Source: OTLP 1.x, Partial success. */
export function answerTaken(encoding: Encoding, refused: Refused): Answer {
  const rejected = refused.length;
  if (rejected === 0) return answer(200, encoding, encoding === 'json' ? '{}' : Buffer.alloc(0));
  const reasons = Array.from(new Set(refused.map(({ refusal }) => refusal)), (reason) => {
    const count = refused.filter(({ refusal }) => refusal === reason).length;
    return `${count}: ${REFUSALS[reason]}`;
  }).join('; ');
  const errorMessage = `data points left out: ${reasons}`;
  if (encoding === 'json') {
    const partialSuccess = { rejectedDataPoints: String(rejected), errorMessage };
    return answer(200, encoding, JSON.stringify({ partialSuccess }));
  }
  const partial = encodeProtobuf([
    [1, rejected],
    [2, errorMessage],
  ]);
  return answer(200, encoding, encodeProtobuf([[1, partial]]));
}

/** google.rpc.Code of what is refused. */
const CODES: Readonly<Record<number, number>> = { 403: 7, 404: 5, 429: 8, 413: 8, 503: 14 };
const INVALID_ARGUMENT = 3;

/** A `Status`, in the form of the request. Source: OTLP 1.x, Failures. */
export function answerRefused({ status, message }: Refusing, encoding: Encoding, retrySeconds?: number): Answer {
  const code = CODES[status] ?? INVALID_ARGUMENT;
  const body =
    encoding === 'json'
      ? JSON.stringify({ code, message })
      : encodeProtobuf([
          [1, code],
          [2, message],
        ]);
  const { headers, ...rest } = answer(status, encoding, body);
  const retry = retrySeconds === undefined ? {} : { 'retry-after': String(retrySeconds) };
  return { ...rest, headers: { ...headers, ...retry, ...(status === 405 ? { allow: 'POST' } : {}) } };
}

function answer(status: number, encoding: Encoding, content: string | Buffer): Answer {
  const body = Buffer.from(content);
  const type = encoding === 'json' ? 'application/json' : 'application/x-protobuf';
  return { status, headers: { 'content-type': type, 'content-length': String(body.length) }, body };
}
