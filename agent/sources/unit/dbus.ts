import { connect } from 'node:net';

import { err, ok, type Result } from '@muster/proto/result';

import { decodeMessage, encodeCall, measureMessage, type Call, type Message, type Value } from './dbus-wire.ts';

/** What an answer says, or why there is none: the bus's own name of the error, or that the bus is gone. */
export type Answer = Result<readonly Value[], string>;

export type Bus = {
  /** Several may be under way. Never rejects. */
  readonly call: (call: Call) => Promise<Answer>;
  /** False when a call can only fail: whoever wants to call opens another one. */
  readonly isOpen: () => boolean;
  readonly close: () => void;
};

/** The bus itself, asked to let us in: it answers with the name that we have on it. */
const HELLO: Call = {
  destination: 'org.freedesktop.DBus',
  path: '/org/freedesktop/DBus',
  interface: 'org.freedesktop.DBus',
  member: 'Hello',
  texts: [],
};

/**
 * We are who the kernel says that we are: the answer to EXTERNAL is left empty, so that it holds in a user namespace
 * too. Everything is sent at once, as systemd's own client does. Source: D-Bus Specification, "Authentication Protocol".
 */
const GREETING = '\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n';
const GREETING_BYTES_MAX = 4096;

const CLOSED = 'the bus has closed the connection';
/**
 * What dbus-daemon does to a user that it cannot look up. From systemd 250.4 on it cannot look up the dynamic users of
 * services. Source: https://github.com/systemd/systemd/issues/22737.
 */
export const SHUT_OUT = 'the bus lets us in and hangs up: it does not know the user of this process';

/** Opens the bus at a socket. It takes `deadlineMs` at most, and so does each call; a bus that is late is closed. */
export async function openBus(path: string, deadlineMs: number): Promise<Result<Bus, string>> {
  const waiting = new Map<number, (answer: Answer) => void>();
  const socket = connect({ path });
  const take = makeIntake((message) => {
    if (message.replyTo === null || (message.kind !== 'return' && message.kind !== 'error')) return;
    const { kind, errorName } = message;
    settle(message.replyTo, kind === 'return' ? ok(message.body) : err(errorName ?? 'an error without a name'));
  });
  let closed: string | null = null;
  let isConnected = false;
  let serial = 0;

  function settle(id: number, answer: Answer): void {
    waiting.get(id)?.(answer);
    waiting.delete(id);
    if (waiting.size === 0) socket.setTimeout(0);
  }

  function close(reason: string): void {
    closed ??= reason;
    socket.destroy();
    for (const id of waiting.keys()) settle(id, err(closed));
  }

  function call(one: Call): Promise<Answer> {
    if (closed !== null) return Promise.resolve(err(closed));
    serial += 1;
    const id = serial;
    const { promise, resolve } = Promise.withResolvers<Answer>();
    waiting.set(id, resolve);
    socket.setTimeout(deadlineMs);
    socket.write(encodeCall(id, one));
    return promise;
  }

  socket.on('data', (chunk: Buffer) => {
    const fault = take(chunk);
    if (fault !== null) close(fault);
  });
  socket.on('timeout', () => close('the bus does not answer'));
  socket.on('connect', () => (isConnected = true));
  // Whether it shows as a reset, in a write or by its end is a matter of moments.
  socket.on('error', ({ message }) => close(isConnected ? CLOSED : message));
  socket.on('close', () => close(CLOSED));
  socket.write(GREETING);
  const hello = await call(HELLO);
  if (hello.ok) return ok({ call, isOpen: () => closed === null, close: () => close('it was closed') });
  close(hello.error);
  return hello.error === CLOSED ? err(SHUT_OUT) : hello;
}

/** Takes what comes in pieces: first the lines of the greeting, then messages. Gives what is wrong with it, or null. */
function makeIntake(deliver: (message: Message) => void): (chunk: Buffer) => string | null {
  let isGreeted = false;
  let pieces: Buffer[] = [];
  let length = 0;
  let wanted = 0;
  return (chunk) => {
    pieces.push(chunk);
    length += chunk.length;
    if (length < wanted) return null; // a long message is put together once
    let bytes = Buffer.concat(pieces);
    if (!isGreeted) {
      const greeting = parseGreeting(bytes);
      if (!greeting.ok) return greeting.error;
      isGreeted = greeting.value !== null;
      bytes = bytes.subarray(greeting.value ?? 0);
    }
    wanted = 0;
    while (isGreeted) {
      const measured = measureMessage(bytes);
      if (!measured.ok) return measured.error;
      wanted = measured.value ?? 0;
      if (measured.value === null || bytes.length < wanted) break;
      const message = decodeMessage(bytes.subarray(0, wanted));
      if (!message.ok) return message.error;
      deliver(message.value);
      bytes = bytes.subarray(wanted);
    }
    pieces = [bytes];
    length = bytes.length;
    return null;
  };
}

/** Where the greeting ends; null when it has not yet. `DATA` asks who we are, which is said already. */
export function parseGreeting(bytes: Buffer): Result<number | null, string> {
  const text = bytes.toString('latin1', 0, GREETING_BYTES_MAX);
  const match = /^(?:DATA ?\r\n)?(OK [^\r\n]*\r\n)?/.exec(text);
  if (match?.[1] !== undefined) return ok(match[0].length);
  const rest = text.slice(match?.[0].length ?? 0);
  const mayGoOn = rest.length < GREETING_BYTES_MAX / 2 && (/^OK( [^\r\n]*\r?)?$/.test(rest) || isStartOf(rest));
  return mayGoOn ? ok(null) : err('the bus does not let us in');
}

function isStartOf(rest: string): boolean {
  return 'DATA \r\n'.startsWith(rest) || 'DATA\r\n'.startsWith(rest) || 'OK'.startsWith(rest);
}
