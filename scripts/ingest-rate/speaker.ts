import { encodeBatch, type Batch } from '@muster/proto/batch';
import { BATCH_CONTENT_TYPE, INGEST_PATH } from '@muster/proto/push';

import { packBody } from '../../agent/compress.ts';
import { makeTeller } from '../../agent/teller.ts';
import { makeRemoteWriter } from './remote-write.ts';

/** Puts the batches of one host, one after the other, into requests. */
export type Speaker = (batch: Batch) => {
  readonly bytes: readonly Uint8Array[];
  /** Told what the request was answered, if it was, before the next batch. */
  readonly settle: (answer: { readonly body: string } | null) => void;
};

/** As an agent does; what is told beside the batch before leaves one request under way. */
export function makePusher(token: string, isAlone: boolean): Speaker {
  const teller = makeTeller();
  return (batch) => {
    const telling = isAlone ? teller.tell(batch) : { message: encodeBatch(batch), batch, beside: null };
    const { body, isCompressed } = packBody(telling);
    const headers = [`Authorization: Bearer ${token}`, `Content-Type: ${BATCH_CONTENT_TYPE}`];
    if (isCompressed) headers.push('Content-Encoding: zstd');
    return {
      bytes: [encodeHead(INGEST_PATH, headers, body.length), body],
      settle: (answer) => {
        if (isAlone) teller.settle(telling, answer?.body.includes('"kept":true') === true);
      },
    };
  };
}

/** As Prometheus does. */
export function makeRemoteWriteSpeaker(path: string, host: string): Speaker {
  const headers = [
    'Content-Type: application/x-protobuf',
    'Content-Encoding: snappy',
    'X-Prometheus-Remote-Write-Version: 0.1.0',
  ];
  let write: ReturnType<typeof makeRemoteWriter> | null = null;
  return (batch) => {
    write ??= makeRemoteWriter(host, batch);
    const body = write(batch);
    return { bytes: [encodeHead(path, headers, body.length), body], settle: () => undefined };
  };
}

function encodeHead(path: string, headers: readonly string[], bytes: number): Buffer {
  const lines = [`POST ${path} HTTP/1.1`, 'Host: 127.0.0.1', ...headers, `Content-Length: ${bytes}`];
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`);
}
