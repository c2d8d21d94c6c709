import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';

import { LIVE_PATH } from '@muster/proto/live';

/** One program that listens to the live view. */
export type ListeningSocket = { readonly close: () => void };

export type ListenOptions = {
  readonly port: number;
  readonly key: string;
  readonly topic: string;
  readonly onMessage: (text: Buffer) => void;
  /** It is open, and has asked for its topic. */
  readonly onOpen: () => void;
  /** It ended; `why` is empty where we closed it. */
  readonly onClose: (why: string) => void;
};

const TEXT = 1;
const CLOSE = 8;
const PING = 9;
const PONG = 10;
const HEAD = Buffer.from('\r\n\r\n');

/**
 * A WebSocket as RFC 6455 has it, as far as our own server uses it: text in one frame each, and pings. Ten thousand ordinary clients
 * in one process would take more than the collector.
 */
export function listen({ port, key, topic, onMessage, onOpen, onClose }: ListenOptions): ListeningSocket {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  let held: Buffer = Buffer.alloc(0);
  let isUpgraded = false;
  let why = 'cut';
  const end = (reason: string): void => {
    why = reason;
    socket.destroy();
  };
  socket.write(
    `GET ${LIVE_PATH} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\nAuthorization: Bearer ${key}\r\n\r\n`,
  );
  socket.on('data', (chunk) => {
    held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
    if (!isUpgraded) {
      const at = held.indexOf(HEAD);
      if (at < 0) return;
      const status = held.toString('latin1', 9, 12);
      if (status !== '101') return end(`refused with ${status}`);
      isUpgraded = true;
      held = held.subarray(at + HEAD.length);
      writeFrame(socket, TEXT, Buffer.from(JSON.stringify({ kind: 'subscribe', topic })));
      onOpen();
    }
    for (let frame = readFrame(held); frame !== null; frame = readFrame(held)) {
      held = held.subarray(frame.bytes);
      if (frame.opcode === TEXT) onMessage(frame.payload);
      else if (frame.opcode === PING) writeFrame(socket, PONG, frame.payload);
      else if (frame.opcode === CLOSE) end('closed by the collector');
    }
  });
  socket.on('error', () => undefined); // 'close' follows
  socket.once('close', () => onClose(why));
  return { close: () => end('') };
}

type Frame = { readonly opcode: number; readonly payload: Buffer; readonly bytes: number };

/** The first frame of a server, once it is there whole. RFC 6455, section 5.2. */
function readFrame(bytes: Buffer): Frame | null {
  if (bytes.length < 2) return null;
  const opcode = (bytes[0] ?? 0) & 15;
  const short = (bytes[1] ?? 0) & 127;
  const start = short === 127 ? 10 : short === 126 ? 4 : 2;
  if (bytes.length < start) return null;
  const length = short === 127 ? Number(bytes.readBigUInt64BE(2)) : short === 126 ? bytes.readUInt16BE(2) : short;
  if (bytes.length < start + length) return null;
  return { opcode, payload: bytes.subarray(start, start + length), bytes: start + length };
}

/** What a client says is masked; by zeros it stays as it is. */
function writeFrame(socket: Socket, opcode: number, payload: Buffer): void {
  socket.write(Buffer.concat([Buffer.from([0x80 | opcode, 0x80 | payload.length, 0, 0, 0, 0]), payload]));
}
