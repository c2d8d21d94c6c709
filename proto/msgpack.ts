/** How deep maps and arrays may lie in one another: the batch needs four levels (batch, s, series, info). */
export const DEPTH_MAX = 8;
/** How many values, keys included, a message may hold: 20,000 series of three values and their ticks fit. */
export const VALUES_MAX = 100_000;

const FORBIDDEN_KEYS = new Set(['__proto__', 'constructor', 'prototype']);
const FORBIDDEN_KEY_LENGTHS = new Set([...FORBIDDEN_KEYS].map(({ length }) => length));

/**
 * Walks a MessagePack message without building anything, and says what is wrong with it, or null.
 *
 * A message is plain when it is exactly one value, of nil, booleans, numbers, strings, binary, arrays and maps with
 * string keys. Decoders build extension types (dates, regular expressions, records) without being asked, and believe
 * lengths; so this runs first. Source: the MessagePack specification, section Formats.
 */
export function findFault(bytes: Uint8Array): string | null {
  const walk: Walk = { bytes, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), at: 0, values: 0 };
  const fault = walkValue(walk, 0);
  if (fault !== null) return fault;
  return walk.at === bytes.length ? null : `${bytes.length - walk.at} bytes follow the message`;
}

type Walk = { readonly bytes: Uint8Array; readonly view: DataView; at: number; values: number };

const CUT_SHORT = 'the message is cut short';

function walkValue(walk: Walk, depth: number): string | null {
  if (depth > DEPTH_MAX) return `it is nested deeper than ${DEPTH_MAX}`;
  walk.values += 1;
  if (walk.values > VALUES_MAX) return `it holds more than ${VALUES_MAX} values`;
  const type = walk.bytes[walk.at];
  if (type === undefined) return CUT_SHORT;
  walk.at += 1;
  if (type <= 0x7f || type >= 0xe0) return null; // fixint
  if (type <= 0x8f) return walkMap(walk, type & 0x0f, depth);
  if (type <= 0x9f) return walkArray(walk, type & 0x0f, depth);
  if (type <= 0xbf) return skip(walk, type & 0x1f); // fixstr
  switch (type) {
    case 0xc0: // nil
    case 0xc2: // false
    case 0xc3: // true
      return null;
    case 0xc4: // bin 8
    case 0xd9: // str 8
      return skipCounted(walk, 1);
    case 0xc5: // bin 16
    case 0xda: // str 16
      return skipCounted(walk, 2);
    case 0xc6: // bin 32
    case 0xdb: // str 32
      return skipCounted(walk, 4);
    case 0xcc: // uint 8
    case 0xd0: // int 8
      return skip(walk, 1);
    case 0xcd: // uint 16
    case 0xd1: // int 16
      return skip(walk, 2);
    case 0xca: // float 32
    case 0xce: // uint 32
    case 0xd2: // int 32
      return skip(walk, 4);
    case 0xcb: // float 64
    case 0xcf: // uint 64
    case 0xd3: // int 64
      return skip(walk, 8);
    case 0xdc: // array 16
      return walkCounted(walk, 2, depth, walkArray);
    case 0xdd: // array 32
      return walkCounted(walk, 4, depth, walkArray);
    case 0xde: // map 16
      return walkCounted(walk, 2, depth, walkMap);
    case 0xdf: // map 32
      return walkCounted(walk, 4, depth, walkMap);
    default:
      return `type 0x${type.toString(16)} is an extension; only plain types are taken`;
  }
}

function walkArray(walk: Walk, length: number, depth: number): string | null {
  for (let i = 0; i < length; i += 1) {
    const fault = walkValue(walk, depth + 1);
    if (fault !== null) return fault;
  }
  return null;
}

function walkMap(walk: Walk, length: number, depth: number): string | null {
  for (let i = 0; i < length; i += 1) {
    const type = walk.bytes[walk.at] ?? 0;
    const isString = (type >= 0xa0 && type <= 0xbf) || (type >= 0xd9 && type <= 0xdb);
    if (!isString) return walk.at < walk.bytes.length ? 'a map key is not a string' : CUT_SHORT;
    const start = walk.at;
    const fault = walkValue(walk, depth + 1) ?? findForbiddenKey(walk, start);
    if (fault !== null) return fault;
    const valueFault = walkValue(walk, depth + 1);
    if (valueFault !== null) return valueFault;
  }
  return null;
}

function findForbiddenKey(walk: Walk, start: number): string | null {
  const type = walk.bytes[start] ?? 0;
  const head = type <= 0xbf ? 1 : 2 ** (type - 0xd9) + 1;
  if (!FORBIDDEN_KEY_LENGTHS.has(walk.at - start - head)) return null;
  const key = String.fromCharCode(...walk.bytes.subarray(start + head, walk.at));
  return FORBIDDEN_KEYS.has(key) ? `the map key ${key} is forbidden` : null;
}

function walkCounted(
  walk: Walk,
  size: 2 | 4,
  depth: number,
  into: (walk: Walk, length: number, depth: number) => string | null,
): string | null {
  const length = readLength(walk, size);
  return length === null ? CUT_SHORT : into(walk, length, depth);
}

function skipCounted(walk: Walk, size: 1 | 2 | 4): string | null {
  const length = readLength(walk, size);
  return length === null ? CUT_SHORT : skip(walk, length);
}

function readLength(walk: Walk, size: 1 | 2 | 4): number | null {
  const { at, view } = walk;
  if (at + size > view.byteLength) return null;
  walk.at += size;
  if (size === 1) return view.getUint8(at);
  return size === 2 ? view.getUint16(at) : view.getUint32(at);
}

function skip(walk: Walk, length: number): string | null {
  walk.at += length;
  return walk.at > walk.bytes.length ? CUT_SHORT : null;
}
