import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

import type { Log } from '@muster/proto/log';
import { BODY_BYTES_MAX, INGEST_PATH } from '@muster/proto/push';
import { err, ok, type Result } from '@muster/proto/result';

import { answerFailure, type Answer } from './answer.ts';
import { readBearer, type Authorise } from './auth.ts';
import type { TakePush } from './routes/ingest.ts';
import type { EndUnread } from './unread.ts';

export type DirectOptions = {
  readonly take: TakePush;
  readonly authorise: Authorise;
  readonly onAdmitted: (socket: Socket) => void;
  readonly log: Log;
};

/** Answers a request that is a push of an agent whose token is good. False: it is for the application. */
export type AnswerPush = (incoming: IncomingMessage, outgoing: ServerResponse, endUnread: EndUnread) => boolean;

/**
 * The short way of pushes past the application, which makes web objects of every request: what nine of ten requests are
 * takes a third of the time so. Whatever is unusual goes the long way, where the same route gives the same answers.
 */
export function makeAnswerPush({ take, authorise, onAdmitted, log }: DirectOptions): AnswerPush {
  async function answer(incoming: IncomingMessage, token: { host: string; token: string }): Promise<Answer> {
    try {
      return await take(
        {
          contentType: incoming.headers['content-type'],
          contentEncoding: incoming.headers['content-encoding'],
          readBody: () => readBody(incoming),
        },
        token,
      );
    } catch (error) {
      return answerFailure(error, { method: 'POST', path: INGEST_PATH }, log);
    }
  }

  return (incoming, outgoing, endUnread) => {
    const { method, url, headers } = incoming;
    const bytes = Number(headers['content-length']);
    if (method !== 'POST' || url !== INGEST_PATH || !(bytes <= BODY_BYTES_MAX)) return false;
    const caller = authorise({ bearer: readBearer(headers.authorization), sessionId: null });
    if (caller.kind !== 'host') return false;
    onAdmitted(incoming.socket);
    void answer(incoming, caller).then((given) => {
      if (!incoming.complete) endUnread(incoming, outgoing);
      send(outgoing, given);
    });
    return true;
  };
}

/** The body of a request that says its length, at which HTTP ends it; 'cut' when its sender went away. */
function readBody(incoming: IncomingMessage): Promise<Result<Uint8Array, 'cut'>> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    const cut = (): void => resolve(err('cut')); // after the end it changes nothing
    incoming.on('data', (chunk: Buffer) => void chunks.push(chunk));
    incoming.on('end', () => resolve(ok(chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks))));
    incoming.on('close', cut);
    incoming.on('error', cut);
  });
}

/** An agent pays for every byte of an answer, hundreds of times an hour: nothing goes with it that it does not look at. */
function send(outgoing: ServerResponse, { status, body, retryAfterSeconds }: Answer): void {
  const text = JSON.stringify(body);
  beBrief(outgoing);
  outgoing.setHeader('Content-Type', 'application/json');
  outgoing.setHeader('Content-Length', Buffer.byteLength(text));
  if (retryAfterSeconds !== undefined) outgoing.setHeader('Retry-After', retryAfterSeconds);
  outgoing.statusCode = status;
  outgoing.end(text);
}

/** That it stays open goes without saying in HTTP/1.1; that it closes, as a stop of the server says, does not. */
export function beBrief(outgoing: ServerResponse): void {
  outgoing.sendDate = false;
  if (!outgoing.hasHeader('connection')) outgoing.removeHeader('connection');
}
