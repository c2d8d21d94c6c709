import { describeError } from '@muster/proto/log';

import { codeOf } from './code-of.ts';
import { readBody, type HttpClient } from './http-client.ts';
import { parseJson } from './parse-json.ts';

/** An acknowledgement or a refusal is far smaller; a longer body is not read. */
const REPLY_BYTES_MAX = 64 * 1024;

/** `body` is what the JSON of the answer says, or undefined when it is not JSON. */
export type Answer =
  | { readonly kind: 'answered'; readonly status: number; readonly retryAfter: string; readonly body: unknown }
  | { readonly kind: 'unreachable'; readonly reason: string };

export type PostRequest = {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | string;
  /** How long the request may take, to the end of its answer. */
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
};

/** Sends one request to the collector. No answer is an answer too: it does not throw. */
export async function post(client: HttpClient, { deadlineMs, signal, ...request }: PostRequest): Promise<Answer> {
  // AbortSignal.any would do all this in a line, but it keeps 2 KB for every request as long as `signal` lives.
  const controller = new AbortController();
  const stop = () => controller.abort(new Error('the agent is stopping'));
  const timer = setTimeout(() => controller.abort(new Error(`no answer within ${deadlineMs} ms`)), deadlineMs);
  signal.addEventListener('abort', stop);
  if (signal.aborted) stop();
  try {
    const { status, headers, body } = await client.request({ method: 'POST', signal: controller.signal, ...request });
    const text = (await readBody(body, REPLY_BYTES_MAX))?.toString('utf8') ?? '';
    return { kind: 'answered', status, retryAfter: headers['retry-after'] ?? '', body: parseJson(text) };
  } catch (cause) {
    const reason: unknown = controller.signal.aborted ? controller.signal.reason : cause;
    return { kind: 'unreachable', reason: describeFailure(reason) };
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
  }
}

function describeFailure(cause: unknown): string {
  const code = codeOf(cause);
  if (DISTRUST.has(code)) return `${describeError(cause)}; ${TRUST_NEXT}`;
  if (code !== 'EPROTO' || !describeError(cause).includes('wrong version number')) return describeError(cause);
  return 'what answers there does not speak TLS; if it is the collector itself, --url wants http instead of https';
}

/** Nobody trusted has vouched for the certificate. By OpenSSL's names, as Node gives them. */
const DISTRUST = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);
const TRUST_NEXT =
  'the agent trusts whom this system trusts: give it the authority of the collector (update-ca-certificates, or ' +
  'update-ca-trust), or its chain to the collector';
