import type {
  CompletenessReply,
  EnrolmentTokenReply,
  EventsReply,
  HostReply,
  HostsReply,
  SeriesReply,
  SessionRequest,
} from '@muster/proto/api';
import { isRecord } from '@muster/proto/record';
import { err, ok, type Result } from '@muster/proto/result';

import { parseJson } from './parse-json.ts';

/** A collector that takes longer than this is treated as one that does not answer. */
const ANSWER_MS_MAX = 15_000;

/** Why there is no answer: the HTTP status, null when none came, and a sentence for the screen. */
export type Fault = { readonly status: number | null; readonly message: string };
export type Answer<T> = Promise<Result<T, Fault>>;

export type SeriesQuery = {
  readonly host: string;
  readonly metric: string;
  readonly fromMs: number;
  readonly toMs: number;
};

export type Api = {
  readonly readSession: () => Answer<unknown>;
  readonly openSession: (key: string) => Answer<unknown>;
  readonly closeSession: () => Answer<unknown>;
  readonly readHosts: () => Answer<HostsReply>;
  readonly readHost: (host: string) => Answer<HostReply>;
  readonly readCompleteness: (host: string) => Answer<CompletenessReply>;
  readonly readEvents: (host: string, fromMs: number, toMs: number) => Answer<EventsReply>;
  readonly readSeries: (query: SeriesQuery) => Answer<SeriesReply>;
  readonly makeEnrolmentToken: () => Answer<EnrolmentTokenReply>;
};

/**
 * The collector's HTTP interface. Nothing here throws: what fails is a `Fault`. `onUnauthorized` is told of every 401,
 * whichever request met it. Bodies are taken as typed, because they come from the collector that serves the page.
 */
export function makeApi(fetchFrom: typeof fetch, onUnauthorized: (fault: Fault) => void): Api {
  const ask = async <T>(method: string, path: string, body?: unknown): Answer<T> => {
    const reply = await askOnce<T>(fetchFrom, method, path, body);
    if (!reply.ok && reply.error.status === 401) onUnauthorized(reply.error);
    return reply;
  };
  return {
    readSession: () => ask('GET', '/api/v1/session'),
    openSession: (key) => ask('POST', '/api/v1/session', { key } satisfies SessionRequest),
    closeSession: () => ask('DELETE', '/api/v1/session'),
    readHosts: () => ask('GET', '/api/v1/hosts'),
    readHost: (host) => ask('GET', `/api/v1/hosts/${encodeURIComponent(host)}`),
    readCompleteness: (host) => ask('GET', `/api/v1/hosts/${encodeURIComponent(host)}/completeness`),
    readEvents: (host, fromMs, toMs) =>
      ask('GET', `/api/v1/hosts/${encodeURIComponent(host)}/events?fromMs=${fromMs}&toMs=${toMs}`),
    readSeries: ({ host, metric, fromMs, toMs }) => {
      const query = new URLSearchParams({ host, metric, fromMs: String(fromMs), toMs: String(toMs) });
      return ask('GET', `/api/v1/series?${query.toString()}`);
    },
    makeEnrolmentToken: () => ask('POST', '/api/v1/enrolment-tokens'),
  };
}

async function askOnce<T>(fetchFrom: typeof fetch, method: string, path: string, body: unknown): Answer<T> {
  let response: Response;
  let content: unknown;
  try {
    response = await fetchFrom(path, {
      method,
      headers: { accept: 'application/json', ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      body: body === undefined ? null : JSON.stringify(body),
      signal: AbortSignal.timeout(ANSWER_MS_MAX),
    });
    content = parseJson(await response.text());
  } catch {
    return err({ status: null, message: 'The collector does not answer.' });
  }
  if (!response.ok) return err({ status: response.status, message: readRefusal(content, response.status) });
  // The collector answers with an object or, by 204, with nothing; anything else is a proxy's page.
  if (!isRecord(content) && response.status !== 204)
    return err({ status: response.status, message: 'Something that is not the collector answered.' });
  // Safe as far as the collector keeps to the types of proto, by which it writes its replies.
  return ok(content as T);
}

function readRefusal(content: unknown, status: number): string {
  const error = isRecord(content) ? content['error'] : null;
  if (isRecord(error) && typeof error['message'] === 'string') return error['message'];
  return `The collector answered ${status}.`;
}
