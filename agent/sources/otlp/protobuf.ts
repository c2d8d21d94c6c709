/**
 * The fields of a message that are read, by number: a scalar, or the message that it holds. What is not named here is
 * passed over. `list` fields may come many times, or packed.
 */
export type Schema = { readonly [number: number]: Field };
type Named = { readonly name: string; readonly list?: true };
type Field =
  | (Named & { readonly type: Scalar | 'string' })
  | (Named & { readonly type: 'message'; readonly schema: Schema });
type Scalar = 'double' | 'fixed64' | 'sfixed64' | 'uint64' | 'int64' | 'sint32' | 'bool';

/** Whatever they hold, so many messages are more than a host's services send at once. */
const MESSAGES_MAX = 100_000;
/** Of one list of numbers: the buckets of a histogram. */
const NUMBERS_MAX = 2_000;

type Walk = { readonly bytes: Buffer; messages: number };
type Span = { at: number; readonly end: number };

/** Not a message of this kind, or more than there may be. */
const BAD = Symbol('bad');
type Bad = typeof BAD;

/**
 * Reads a message to what its JSON form would be, numbers of 64 bits as numbers. Null where it is malformed. As deep as
 * the schema, whatever the bytes say. Source: Protocol Buffers documentation, Encoding.
 */
export function decodeProtobuf(bytes: Buffer, schema: Schema): Readonly<Record<string, unknown>> | null {
  const message = decodeMessage({ bytes, messages: 0 }, { at: 0, end: bytes.length }, schema);
  return message === BAD ? null : message;
}

function decodeMessage(walk: Walk, span: Span, schema: Schema): Record<string, unknown> | Bad {
  walk.messages += 1;
  if (walk.messages > MESSAGES_MAX) return BAD;
  const message: Record<string, unknown> = {};
  while (span.at < span.end) {
    const tag = decodeVarint(walk, span);
    if (tag === BAD) return BAD;
    const wire = tag % 8;
    const field = schema[Math.floor(tag / 8)];
    if (field === undefined) {
      if (skip(walk, span, wire) === BAD) return BAD;
      continue;
    }
    const values = decodeField(walk, span, { field, wire });
    if (values === BAD) return BAD;
    if (field.list !== true) message[field.name] = values.at(-1);
    else if (addAll(message, field, values) === BAD) return BAD;
  }
  return span.at === span.end ? message : BAD;
}

function addAll(message: Record<string, unknown>, { name, type }: Field, values: readonly unknown[]): Bad | null {
  const known = message[name];
  const list: unknown[] = Array.isArray(known) ? known : [];
  message[name] = list;
  if (type !== 'message' && list.length + values.length > NUMBERS_MAX) return BAD;
  for (const value of values) list.push(value);
  return null;
}

type Place = { readonly field: Field; readonly wire: number };

function decodeField(walk: Walk, span: Span, { field, wire }: Place): unknown[] | Bad {
  if (field.type === 'string') {
    const text = wire === 2 ? decodeSpan(walk, span) : BAD;
    return text === BAD ? BAD : [walk.bytes.toString('utf8', text.at, text.end)];
  }
  if (field.type === 'message') {
    const inner = wire === 2 ? decodeSpan(walk, span) : BAD;
    const message = inner === BAD ? BAD : decodeMessage(walk, inner, field.schema);
    return message === BAD ? BAD : [message];
  }
  if (wire === 2) return decodePacked(walk, span, field.type);
  if (wire !== wireOf(field.type)) return BAD;
  const value = decodeScalar(walk, span, field.type);
  return value === BAD ? BAD : [value];
}

function decodePacked(walk: Walk, span: Span, type: Scalar): unknown[] | Bad {
  const inner = decodeSpan(walk, span);
  if (inner === BAD) return BAD;
  const values: unknown[] = [];
  while (inner.at < inner.end) {
    const value = decodeScalar(walk, inner, type);
    if (value === BAD || values.length >= NUMBERS_MAX) return BAD;
    values.push(value);
  }
  return inner.at === inner.end ? values : BAD;
}

function wireOf(type: Scalar): number {
  return type === 'double' || type === 'fixed64' || type === 'sfixed64' ? 1 : 0;
}

function decodeScalar(walk: Walk, span: Span, type: Scalar): number | boolean | Bad {
  if (wireOf(type) === 1) {
    const { at } = span;
    span.at += 8;
    if (span.at > span.end) return BAD;
    if (type === 'double') return walk.bytes.readDoubleLE(at);
    const high = type === 'sfixed64' ? walk.bytes.readInt32LE(at + 4) : walk.bytes.readUInt32LE(at + 4);
    return high * 2 ** 32 + walk.bytes.readUInt32LE(at);
  }
  const { at } = span;
  const value = decodeVarint(walk, span);
  if (value === BAD) return BAD;
  // What is below 0 has ten bytes, and needs all of their bits.
  if (type === 'int64' && span.at - at === 10) return decodeNegative(walk.bytes.subarray(at, span.at));
  if (type === 'bool') return value !== 0;
  // ZigZag: 0, -1, 1, -2, …
  if (type === 'sint32') return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  return value;
}

function decodeNegative(bytes: Buffer): number {
  const bits = bytes.reduceRight((all, byte) => (all << 7n) | BigInt(byte % 128), 0n);
  return Number(BigInt.asIntN(64, bits));
}

/** Above 2^53 without its last digits. */
function decodeVarint({ bytes }: Walk, span: Span): number | Bad {
  let value = 0;
  for (let i = 0; i < 10; i += 1) {
    if (span.at >= span.end) return BAD;
    const byte = bytes[span.at] ?? 0;
    span.at += 1;
    value += (byte % 128) * 2 ** (7 * i);
    if (byte < 128) return value;
  }
  return BAD;
}

function decodeSpan(walk: Walk, span: Span): Span | Bad {
  const length = decodeVarint(walk, span);
  if (length === BAD || span.at + length > span.end) return BAD;
  const inner = { at: span.at, end: span.at + length };
  span.at += length;
  return inner;
}

function skip(walk: Walk, span: Span, wire: number): Bad | null {
  if (wire === 0) return decodeVarint(walk, span) === BAD ? BAD : null;
  if (wire === 2) return decodeSpan(walk, span) === BAD ? BAD : null;
  if (wire !== 1 && wire !== 5) return BAD; // groups are not part of proto3
  span.at += wire === 1 ? 8 : 4;
  return span.at > span.end ? BAD : null;
}

/** The bytes of a message of these fields, in their order; those that are undefined are left out. */
export function encodeProtobuf(fields: readonly (readonly [number: number, value: Encodable])[]): Buffer {
  return Buffer.concat(
    fields.flatMap(([number, value]) => {
      if (typeof value === 'number') return [encodeVarint(number * 8), encodeVarint(value)];
      const bytes = typeof value === 'string' ? Buffer.from(value) : value;
      return [encodeVarint(number * 8 + 2), encodeVarint(bytes.length), bytes];
    }),
  );
}

/** A whole number from 0, a text, or a message. */
type Encodable = number | string | Buffer;

function encodeVarint(value: number): Buffer {
  const bytes: number[] = [];
  let left = value;
  for (; left >= 128; left = Math.floor(left / 128)) bytes.push((left % 128) + 128);
  return Buffer.from([...bytes, left]);
}
