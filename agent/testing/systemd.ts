import { mkdirSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { dirname } from 'node:path';

import { measureMessage } from '../sources/unit/dbus-wire.ts';

/** Of a unit: its name, load state, active state, and how often it was started again. */
export type UnitFixture = readonly [name: string, loadState: string, activeState: string, restarts?: number];

export type StandInManager = {
  readonly setUnits: (units: readonly UnitFixture[]) => void;
  /** From now on calls are answered with these bytes, or with silence. */
  readonly spoil: (bytes: Buffer | null) => void;
  /** How many connections were made. */
  readonly countConnections: () => number;
  readonly close: () => Promise<void>;
};

/** A bus with nobody but systemd on it, over a real socket. */
export async function openStandInManager(path: string): Promise<StandInManager> {
  let units: readonly UnitFixture[] = [];
  let spoiled: Buffer | null | undefined;
  let connections = 0;
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    connections += 1;
    sockets.add(socket);
    let bytes = Buffer.alloc(0);
    let isGreeted = false;
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => {
      bytes = Buffer.concat([bytes, chunk]);
      const greeting = bytes.indexOf('BEGIN\r\n');
      if (!isGreeted && greeting < 0) return;
      if (!isGreeted) {
        isGreeted = true;
        socket.write('DATA\r\nOK 0123456789abcdef0123456789abcdef\r\n');
        bytes = bytes.subarray(greeting + 'BEGIN\r\n'.length);
      }
      for (;;) {
        const measured = measureMessage(bytes);
        if (!measured.ok || measured.value === null || bytes.length < measured.value) return;
        const answer = spoiled === undefined ? answerCall(bytes.subarray(0, measured.value), units) : spoiled;
        if (answer !== null) socket.write(answer);
        bytes = bytes.subarray(measured.value);
      }
    });
  });
  mkdirSync(dirname(path), { recursive: true });
  await new Promise<void>((resolve) => {
    server.listen(path, resolve);
  });
  return {
    setUnits: (next) => {
      units = next;
    },
    spoil: (next) => {
      spoiled = next;
    },
    countConnections: () => connections,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => {
        server.close(resolve);
      });
    },
  };
}

function answerCall(call: Buffer, units: readonly UnitFixture[]): Buffer {
  const serial = call.readUInt32LE(8);
  const text = call.toString('latin1');
  if (text.includes('\0Hello\0')) return encodeReturn(serial, 's', encodeText(':1.7'));
  if (text.includes('\0ListUnits\0')) return encodeReturn(serial, 'a(ssssssouso)', encodeUnits(units));
  const restarts = units.find((_, index) => text.includes(`${pathOf(index)}\0`))?.[3];
  if (restarts === undefined) return encodeError(serial, 'org.freedesktop.DBus.Error.UnknownProperty');
  return encodeReturn(serial, 'v', Buffer.concat([Buffer.from([1, 0x75, 0, 0]), uint32(restarts)]));
}

function pathOf(index: number): string {
  return `/org/freedesktop/systemd1/unit/u${index}`;
}

function encodeUnits(units: readonly UnitFixture[]): Buffer {
  let bytes = Buffer.alloc(0);
  const add = (more: Buffer, multiple: number) => {
    bytes = Buffer.concat([bytes, Buffer.alloc(-bytes.length & (multiple - 1)), more]);
  };
  for (const [index, [name, loadState, activeState]] of units.entries()) {
    add(Buffer.alloc(0), 8);
    const texts = [name, 'a unit of the test', loadState, activeState, 'running', ''];
    for (const text of [...texts, pathOf(index)]) add(encodeText(text), 4);
    add(uint32(0), 4);
    add(encodeText(''), 4);
    add(encodeText('/'), 4);
  }
  return Buffer.concat([uint32(bytes.length), Buffer.alloc(4), bytes]); // structures begin at multiples of 8
}

export function encodeReturn(replyTo: number, signature: string, body: Buffer): Buffer {
  return encodeMessage(2, [encodeReply(replyTo), encodeField(8, 'g', encodeSignature(signature))], body);
}

export function encodeError(replyTo: number, name: string): Buffer {
  return encodeMessage(3, [encodeReply(replyTo), encodeField(4, 's', encodeText(name))], Buffer.alloc(0));
}

function encodeMessage(type: number, fields: readonly Buffer[], body: Buffer): Buffer {
  const list = Buffer.concat(fields.flatMap((field, i) => (i === fields.length - 1 ? [field] : [fill(field)])));
  const head = Buffer.concat([
    Buffer.from([0x6c, type, 1, 1]),
    uint32(body.length),
    uint32(1),
    uint32(list.length),
    list,
  ]);
  return Buffer.concat([fill(head), body]);
}

function encodeReply(serial: number): Buffer {
  return encodeField(5, 'u', uint32(serial));
}

function encodeField(code: number, type: string, value: Buffer): Buffer {
  return Buffer.concat([Buffer.from([code, 1, ...Buffer.from(type), 0]), value]);
}

function encodeSignature(signature: string): Buffer {
  return Buffer.from([signature.length, ...Buffer.from(signature), 0]);
}

function encodeText(text: string): Buffer {
  return Buffer.concat([uint32(Buffer.byteLength(text)), Buffer.from(`${text}\0`)]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

/** Up to a multiple of 8. */
function fill(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(-bytes.length & 7)]);
}
