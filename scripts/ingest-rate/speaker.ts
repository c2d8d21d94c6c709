import { encodeBatch, type Batch } from '@muster/proto/batch';
import { BATCH_CONTENT_TYPE, INGEST_PATH } from '@muster/proto/push';

import { packBody } from '../../agent/compress.ts';
import { makeTeller } from '../../agent/teller.ts';
import { makeRemoteWriter } from './remote-write.ts';

/** Puts the batches of one host, one after the other, into requests. */
export type Speaker = () => {
  readonly bytes: readonly Uint8Array[];
  /** Told what the request was answered, if it was, before the next one. */
  readonly settle: (answer: { readonly body: string } | null) => void;
};

const KEPT = '"kept":true';

/** As an agent does; what is told beside the batch before leaves one request under way. */
export function makePusher(token: string, isAlone: boolean, makeBatch: () => Batch): Speaker {
  const teller = makeTeller();
  return () => {
    const batch = makeBatch();
    const telling = isAlone ? teller.tell(batch) : { message: encodeBatch(batch), batch, beside: null };
    const { body, isCompressed } = packBody(telling);
    const headers = [`Authorization: Bearer ${token}`, `Content-Type: ${BATCH_CONTENT_TYPE}`];
    if (isCompressed) headers.push('Content-Encoding: zstd');
    return {
      bytes: [encodeHead(INGEST_PATH, headers, body.length), body],
      settle: (answer) => {
        if (isAlone) teller.settle(telling, answer?.body.includes(KEPT) === true);
      },
    };
  };
}

/** As Prometheus does. */
export function makeRemoteWriteSpeaker(path: string, host: string, makeBatch: () => Batch): Speaker {
  const headers = [
    'Content-Type: application/x-protobuf',
    'Content-Encoding: snappy',
    'X-Prometheus-Remote-Write-Version: 0.1.0',
  ];
  let write: ReturnType<typeof makeRemoteWriter> | null = null;
  return () => {
    const batch = makeBatch();
    write ??= makeRemoteWriter(host, batch);
    const body = write(batch);
    return { bytes: [encodeHead(path, headers, body.length), body], settle: () => undefined };
  };
}

/**
 * Makes the first requests now, in one piece of memory, as if all of them were answered well; where one is not, those behind
 * it are left out, and the speaker goes on from there.
 */
export function prepare(speak: Speaker, count: number): Speaker {
  const made: Uint8Array[] = [];
  let forget: () => void = () => undefined;
  for (let i = 0; i < count; i += 1) {
    const { bytes, settle } = speak();
    made.push(Buffer.concat(bytes));
    settle({ body: KEPT });
    forget = () => settle(null);
  }
  let end = 0;
  const ends = Uint32Array.from(made, ({ length }) => (end += length));
  const all = Buffer.concat(made);
  let next = 0;
  return () => {
    const at = next;
    if (at >= ends.length) return speak();
    next += 1;
    return {
      bytes: [all.subarray(ends[at - 1] ?? 0, ends[at])],
      settle: (answer) => {
        if (answer?.body.includes(KEPT) === true || answer?.body === '') return;
        next = ends.length;
        forget();
      },
    };
  };
}

function encodeHead(path: string, headers: readonly string[], bytes: number): Buffer {
  const lines = [`POST ${path} HTTP/1.1`, 'Host: 127.0.0.1', ...headers, `Content-Length: ${bytes}`];
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`);
}
