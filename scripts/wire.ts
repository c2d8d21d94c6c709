import { connect, type Socket } from 'node:net';

/**
 * What came back: the status, the body, and after how long to ask again, 0 where that is not said; null when the
 * connection ended without an answer. `waitedMs` is the time from when the request was on its way whole, 0 when the answer
 * came before.
 */
export type WireAnswer = (Answer & { readonly waitedMs: number }) | null;
type Answer = { readonly status: number; readonly body: string; readonly retryAfterMs: number };

/** One connection to a server of HTTP/1.1, kept open, that sends any bytes as a request and reads the answer. */
export type Wire = {
  /** One at a time. Connects anew where the server has closed. */
  readonly ask: (request: readonly Uint8Array[]) => Promise<WireAnswer>;
  readonly close: () => void;
};

/** What was read last, on any connection: memory of its own for each read is a tenth of what a request costs here. */
const CHUNK = Buffer.alloc(64 * 1024);

/** Ordinary clients refuse to send most of what a hostile one does. */
export function openWire(port: number): Wire {
  let socket: Socket | null = null;
  let received: Buffer = Buffer.alloc(0);
  let settle: (answer: WireAnswer) => void = () => undefined;
  let sentMs = Infinity;

  function open(): Socket {
    const callback = (bytes: number): boolean => {
      received = Buffer.concat([received, CHUNK.subarray(0, bytes)]);
      const answer = readAnswer(received);
      if (answer !== null) {
        received = received.subarray(answer.bytes);
        settle({ ...answer, waitedMs: Math.max(0, performance.now() - sentMs) });
      }
      return true;
    };
    const opened = connect({ port, host: '127.0.0.1', noDelay: true, onread: { buffer: CHUNK, callback } });
    received = Buffer.alloc(0);
    opened.on('error', () => undefined); // 'close' follows
    opened.once('close', () => {
      if (socket !== opened) return;
      socket = null;
      settle(null);
    });
    return opened;
  }

  return {
    ask(request) {
      return new Promise((resolve) => {
        settle = resolve;
        sentMs = Infinity;
        if (socket === null || !socket.writable) socket = open();
        socket.write(Buffer.concat(request), () => (sentMs = performance.now()));
      });
    },
    close: () => void socket?.destroy(),
  };
}

/** The first answer in these bytes, once it is there whole. Every answer of ours has a length or no body. */
function readAnswer(bytes: Buffer): (Answer & { readonly bytes: number }) | null {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) return null;
  const head = bytes.toString('latin1', 0, end);
  const length = Number(/^content-length: (\d+)$/im.exec(head)?.[1] ?? 0);
  const start = end + 4;
  if (bytes.length < start + length) return null;
  return {
    status: Number(head.slice(9, 12)),
    body: bytes.toString('utf8', start, start + length),
    retryAfterMs: 1_000 * Number(/^retry-after: (\d+)$/im.exec(head)?.[1] ?? 0),
    bytes: start + length,
  };
}
