import { err, ok, type Result } from '@muster/proto/result';

// The wire of D-Bus, as far as it takes to call a method with texts and read what comes back. Source: the D-Bus
// Specification, "Type System" and "Message Protocol". Little-endian only: nobody else speaks on the machines we run on.

/** Dictionaries are lists of pairs, variants what is in them. */
export type Value = string | number | bigint | boolean | readonly Value[];

export type Call = {
  readonly destination: string;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  readonly texts: readonly string[];
};

export type Message = {
  readonly kind: 'call' | 'return' | 'error' | 'signal';
  /** The serial of the call that this answers. */
  readonly replyTo: number | null;
  readonly errorName: string | null;
  readonly body: readonly Value[];
};

/** The units of the largest machines take a tenth of it. */
export const MESSAGE_BYTES_MAX = 4 * 2 ** 20;
/** Deeper than anything that is asked for here; the specification allows 64. */
const DEPTH_MAX = 16;
const HEADER_BYTES = 16;

const KINDS = ['call', 'return', 'error', 'signal'] as const;
const FIELD = { path: 1, interface: 2, member: 3, errorName: 4, replySerial: 5, destination: 6, signature: 8 } as const;
/** A service that does not run is not started for our sake. */
const NO_AUTO_START = 2;

export function encodeCall(serial: number, { destination, path, interface: name, member, texts }: Call): Buffer {
  const fields = Buffer.concat(
    pad([
      encodeField(FIELD.path, 'o', encodeText(path)),
      encodeField(FIELD.interface, 's', encodeText(name)),
      encodeField(FIELD.member, 's', encodeText(member)),
      encodeField(FIELD.destination, 's', encodeText(destination)),
      ...(texts.length === 0 ? [] : [encodeField(FIELD.signature, 'g', encodeSignature('s'.repeat(texts.length)))]),
    ]),
  );
  const body = Buffer.concat(pad(texts.map(encodeText), 4));
  const head = Buffer.from([0x6c, 1, NO_AUTO_START, 1, ...uint32(body.length), ...uint32(serial)]);
  return Buffer.concat(pad([Buffer.concat([head, Buffer.from(uint32(fields.length)), fields]), body]));
}

function encodeField(code: number, type: string, value: Buffer): Buffer {
  return Buffer.concat([Buffer.from([code]), encodeSignature(type), value]);
}

function encodeText(text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([Buffer.from(uint32(bytes.length)), bytes, Buffer.from([0])]);
}

function encodeSignature(signature: string): Buffer {
  return Buffer.from([signature.length, ...Buffer.from(signature), 0]);
}

/** Each part but the last is filled up, so that the next one begins at a multiple. */
function pad(parts: readonly Buffer[], multiple = 8): Buffer[] {
  return parts.map((part, index) =>
    index === parts.length - 1 ? part : Buffer.concat([part, Buffer.alloc(-part.length & (multiple - 1))]),
  );
}

function uint32(value: number): readonly number[] {
  return [value & 255, (value >>> 8) & 255, (value >>> 16) & 255, value >>> 24];
}

/**
 * How many bytes the message takes that begins here; null when not even that can be told yet. An error means that what
 * follows cannot be read either.
 */
export function measureMessage(bytes: Buffer): Result<number | null, string> {
  if (bytes.length < HEADER_BYTES) return ok(null);
  if (bytes[0] !== 0x6c || bytes[3] !== 1) return err('the bus does not speak little-endian D-Bus, version 1');
  const length = align(HEADER_BYTES + bytes.readUInt32LE(12), 8) + bytes.readUInt32LE(4);
  if (length > MESSAGE_BYTES_MAX) return err(`the bus sends a message of ${length} bytes`);
  return ok(length);
}

/** Reads one whole message. */
export function decodeMessage(bytes: Buffer): Result<Message, string> {
  try {
    return ok(readMessage(bytes));
  } catch (cause) {
    return err(`the bus sends what is no message: ${cause instanceof Error ? cause.message : ''}`);
  }
}

function readMessage(bytes: Buffer): Message {
  const kind = KINDS[(bytes[1] ?? 0) - 1];
  if (kind === undefined) throw new RangeError('it is of no known type');
  const header = makeReader(bytes, HEADER_BYTES - 4);
  const fields = new Map<Value, Value>();
  const [list] = header.read('a(yv)');
  for (const field of Array.isArray(list) ? (list as readonly Value[]) : []) {
    if (Array.isArray(field)) fields.set(field[0], field[1]);
  }
  const signature = fields.get(FIELD.signature) ?? '';
  const replyTo = fields.get(FIELD.replySerial);
  const errorName = fields.get(FIELD.errorName);
  return {
    kind,
    replyTo: typeof replyTo === 'number' ? replyTo : null,
    errorName: typeof errorName === 'string' ? errorName : null,
    body: typeof signature === 'string' ? makeReader(bytes, align(header.at(), 8)).read(signature) : [],
  };
}

function align(at: number, multiple: number): number {
  return at + (-at & (multiple - 1));
}

const ALIGNMENT: Readonly<Record<string, number>> = {
  n: 2,
  q: 2,
  b: 4,
  i: 4,
  u: 4,
  h: 4,
  s: 4,
  o: 4,
  a: 4,
  x: 8,
  t: 8,
  d: 8,
  '(': 8,
  '{': 8,
};

/** Reads values one after the other. Throws a RangeError at what is none, or beyond the end. */
function makeReader(bytes: Buffer, start: number) {
  let at = start;

  function readType(type: string, depth: number): Value {
    if (depth > DEPTH_MAX) throw new RangeError('it is nested too deep');
    at = align(at, ALIGNMENT[type.charAt(0)] ?? 1);
    const inner = type.slice(1, -1);
    switch (type.charAt(0)) {
      case 'a':
        return readArray(type.slice(1), depth);
      case '(':
      case '{':
        return splitTypes(inner).map((one) => readType(one, depth + 1));
      case 'v':
        return readVariant(depth);
      case 's':
      case 'o':
        return readText(readType('u', depth));
      case 'g':
        return readText(readType('y', depth));
      default:
        return readNumber(type);
    }
  }

  function readArray(type: string, depth: number): Value {
    const end = Number(readType('u', depth));
    at = align(at, ALIGNMENT[type.charAt(0)] ?? 1);
    const stop = at + end;
    if (stop > bytes.length) throw new RangeError('a list ends behind its end');
    const values: Value[] = [];
    while (at < stop) values.push(readType(type, depth + 1));
    return values;
  }

  function readVariant(depth: number): Value {
    const [type = '', ...more] = splitTypes(String(readType('g', depth)));
    if (more.length > 0) throw new RangeError('a variant has several types');
    return readType(type, depth + 1);
  }

  function readText(length: Value): string {
    const end = at + Number(length);
    if (end >= bytes.length) throw new RangeError('a text ends behind its end');
    const text = bytes.toString('utf8', at, end);
    at = end + 1;
    return text;
  }

  function readNumber(type: string): Value {
    const reader = NUMBERS[type];
    if (reader === undefined) throw new RangeError(`there is no type ${type}`);
    const value = reader.read(bytes, at);
    at += reader.size;
    return value;
  }

  return {
    read: (signature: string): readonly Value[] => splitTypes(signature).map((type) => readType(type, 0)),
    at: () => at,
  };
}

type NumberReader = { readonly size: number; readonly read: (bytes: Buffer, at: number) => Value };
const NUMBERS: Readonly<Record<string, NumberReader>> = {
  y: { size: 1, read: (bytes, at) => bytes.readUInt8(at) },
  b: { size: 4, read: (bytes, at) => bytes.readUInt32LE(at) !== 0 },
  n: { size: 2, read: (bytes, at) => bytes.readInt16LE(at) },
  q: { size: 2, read: (bytes, at) => bytes.readUInt16LE(at) },
  i: { size: 4, read: (bytes, at) => bytes.readInt32LE(at) },
  u: { size: 4, read: (bytes, at) => bytes.readUInt32LE(at) },
  h: { size: 4, read: (bytes, at) => bytes.readUInt32LE(at) },
  x: { size: 8, read: (bytes, at) => bytes.readBigInt64LE(at) },
  t: { size: 8, read: (bytes, at) => bytes.readBigUInt64LE(at) },
  d: { size: 8, read: (bytes, at) => bytes.readDoubleLE(at) },
};

/** The types of a signature one by one: `sa{sv}u` is `s`, `a{sv}`, `u`. */
export function splitTypes(signature: string): readonly string[] {
  const types: string[] = [];
  for (let at = 0; at < signature.length;) {
    const end = endOfType(signature, at);
    types.push(signature.slice(at, end));
    at = end;
  }
  return types;
}

function endOfType(signature: string, start: number): number {
  let at = start;
  while (signature[at] === 'a') at += 1;
  if (at >= signature.length) throw new RangeError('a signature ends too early');
  if (signature[at] !== '(' && signature[at] !== '{') return at + 1;
  const close = signature[at] === '(' ? ')' : '}';
  for (at += 1; signature[at] !== close;) {
    if (at >= signature.length) throw new RangeError('a signature ends too early');
    at = endOfType(signature, at);
  }
  // Without anything in it a structure takes no room, and a list of them would never end.
  if (at === signature.indexOf(close === ')' ? '(' : '{', start) + 1) throw new RangeError('a structure is empty');
  return at + 1;
}
