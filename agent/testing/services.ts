import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';

/** Certificates for servers, and their key; see the README there. */
export const CERTIFICATES = join(import.meta.dirname, '../sources/checks/testdata');

export type Service = {
  readonly port: number;
  /** How many connections there are at this moment. */
  readonly countConnections: () => number;
  readonly close: () => Promise<void>;
};

/** A server on loopback that treats each connection as it is told, with TLS when a certificate is named. */
export async function openService(treat: (socket: Socket) => void, certificate?: string): Promise<Service> {
  const read = (file: string) => readFileSync(join(CERTIFICATES, `${file}.pem`));
  const sockets = new Set<Socket>();
  const keep = (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => sockets.delete(socket));
  };
  const take = (socket: Socket) => {
    socket.on('error', () => undefined);
    treat(socket);
    socket.resume(); // who does not read does not see the end
  };
  const server: Server =
    certificate === undefined
      ? createServer(take)
      : createTlsServer({ cert: read(certificate), key: read('key') }, take);
  server.on('connection', keep);
  server.on('tlsClientError', () => undefined);
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    port: (server.address() as AddressInfo).port, // it listens
    countConnections: () => sockets.size,
    close: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => {
        server.close(() => resolve());
      });
    },
  };
}

/** What a name server says; `answers` are the type and the data of each record, and `broken` spoils the bytes. */
export type Reply = {
  readonly code?: number;
  readonly isTruncated?: boolean;
  readonly answers?: readonly (readonly [type: number, data: readonly number[]])[];
  readonly broken?: (reply: Buffer) => Buffer;
};

export const RECORD = { A: 1, CNAME: 5, MX: 15, TXT: 16, AAAA: 28, SRV: 33 } as const;

/** A name as it travels: the length of each part before it. */
export function nameBytes(name: string): readonly number[] {
  return [...Buffer.concat(name.split('.').flatMap((part) => [Buffer.from([part.length]), Buffer.from(part)])), 0];
}

/** A name server on loopback (RFC 1035, section 4). Null: it is silent. */
export async function openNameServer(
  answer: (type: number, name: string) => Reply | null,
): Promise<{ readonly port: number; readonly close: () => Promise<void> }> {
  const socket = createSocket('udp4');
  socket.on('message', (query, from) => {
    const end = query.indexOf(0, 12);
    const parts: string[] = [];
    for (let at = 12; at < end; at += (query[at] ?? 0) + 1)
      parts.push(query.toString('latin1', at + 1, at + 1 + (query[at] ?? 0)));
    const reply = answer(query.readUInt16BE(end + 1), parts.join('.'));
    if (reply === null) return;
    const { code = 0, isTruncated = false, answers = [], broken = (bytes) => bytes } = reply;
    const head = Buffer.from(query.subarray(0, end + 5)); // the question, to which it is
    head.writeUInt16BE(0x8180 | (isTruncated ? 0x0200 : 0) | code, 2);
    head.writeUInt16BE(answers.length, 6);
    head.writeUInt32BE(0, 8);
    const records = answers.map(([type, data]) =>
      Buffer.from([0xc0, 12, 0, type, 0, 1, 0, 0, 0, 60, data.length >> 8, data.length & 0xff, ...data]),
    );
    socket.send(broken(Buffer.concat([head, ...records])), from.port, from.address);
  });
  await new Promise<void>((resolve) => {
    socket.bind(0, '127.0.0.1', resolve);
  });
  return {
    port: socket.address().port,
    close: () =>
      new Promise((resolve) => {
        socket.close(() => resolve());
      }),
  };
}
