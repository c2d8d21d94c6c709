import { createServer, connect, type AddressInfo, type Socket } from 'node:net';

/** What went through so far: all bytes of both directions, and the bodies of the requests alone. */
export type Traffic = { readonly bytes: number; readonly bodyBytes: number; readonly requests: number };

export type CountingProxy = {
  readonly port: number;
  readonly traffic: () => Traffic;
  /** When the first request to `path` was answered with 200, by performance.now(); null: not yet. */
  readonly firstAnswerMs: () => number | null;
  readonly close: () => Promise<void>;
};

/** Passes connections on to a port of this machine and counts what they carry: payload of TCP, HTTP's headers included. */
export async function openCountingProxy(toPort: number, path: string): Promise<CountingProxy> {
  const total = { bytes: 0, bodyBytes: 0, requests: 0 };
  let firstAnswerMs: number | null = null;
  const sockets = new Set<Socket>();

  function accept(client: Socket): void {
    const server = connect(toPort, '127.0.0.1');
    let asked = '';
    const requests = makeReader(({ line, bodyBytes }) => {
      asked = line;
      total.requests += 1;
      total.bodyBytes += bodyBytes;
    });
    const answers = makeReader(({ line }) => {
      if (asked.includes(` ${path} `) && line.includes(' 200 ')) firstAnswerMs ??= performance.now();
    });
    for (const [from, to, read] of [[client, server, requests] as const, [server, client, answers] as const]) {
      sockets.add(from);
      from.setNoDelay(true);
      from.on('data', (chunk: Buffer) => {
        total.bytes += chunk.byteLength;
        read(chunk);
        to.write(chunk);
      });
      from.on('error', () => undefined); // 'close' follows
      from.once('close', () => {
        sockets.delete(from);
        to.destroy();
      });
    }
  }

  const listener = createServer(accept);
  await new Promise<void>((resolve) => {
    listener.listen(0, '127.0.0.1', resolve);
  });
  return {
    port: (listener.address() as AddressInfo).port, // it listens on a port, not a path
    traffic: () => ({ ...total }),
    firstAnswerMs: () => firstAnswerMs,
    close: () =>
      new Promise((resolve) => {
        listener.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

type Message = { readonly line: string; readonly bodyBytes: number };

const HEAD_END = '\r\n\r\n';

/** Tells each message of one direction when its head is there whole. Bodies without a length are passed over. */
function makeReader(onMessage: (message: Message) => void): (chunk: Buffer) => void {
  let head = '';
  let bodyLeft = 0;
  return (chunk) => {
    let at = 0;
    while (at < chunk.byteLength) {
      if (bodyLeft > 0) {
        const skipped = Math.min(bodyLeft, chunk.byteLength - at);
        bodyLeft -= skipped;
        at += skipped;
        continue;
      }
      const before = head.length;
      head += chunk.toString('latin1', at);
      const end = head.indexOf(HEAD_END);
      if (end < 0) return;
      bodyLeft = Number(/^content-length: *(\d+)\r?$/im.exec(head)?.[1] ?? 0);
      onMessage({ line: head.slice(0, head.indexOf('\r\n')), bodyBytes: bodyLeft });
      at += end + HEAD_END.length - before;
      head = '';
    }
  };
}
