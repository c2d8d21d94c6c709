import type { Dictionary } from '../domain/samples.ts';

/** One column of a block, named as in the table. `DateTime64(3)` holds whole Unix milliseconds. */
export type Column = { readonly name: string } & (
  | { readonly type: 'LowCardinality(String)'; readonly values: Dictionary }
  | { readonly type: 'String'; readonly values: readonly string[] }
  | {
      readonly type: 'Float64' | "DateTime64(3, 'UTC')" | "DateTime('UTC')" | 'UInt64' | 'UInt32';
      readonly values: ArrayLike<number>;
    }
  /** `ends`: where each row ends, counted in elements of `values`. */
  | { readonly type: 'Array(LowCardinality(String))'; readonly ends: Float64Array; readonly values: Dictionary }
  | { readonly type: 'Array(UInt32)'; readonly ends: Float64Array; readonly values: Uint32Array }
  /** `ends`: where each row ends, counted in arrays; `innerEnds`: where each of those ends, in values. */
  | {
      readonly type: 'Array(Array(Float64))';
      readonly ends: Float64Array;
      readonly innerEnds: Float64Array;
      readonly values: Float64Array;
    }
);

/**
 * The bytes of a block in ClickHouse's Native format, as an insert takes it: columns one after the other, each with
 * its name, its type and its values. Strings carry their length; nothing in them can end the block.
 *
 * Source: ClickHouse, src/Formats/NativeWriter.cpp and src/DataTypes/Serializations (revision 0).
 */
export function encodeBlock(rows: number, columns: readonly Column[]): Buffer {
  const out = makeWriter(columns.reduce((sum, column) => sum + boundBytes(rows, column), 32));
  out.varUint(columns.length);
  out.varUint(rows);
  for (const column of columns) {
    out.string(column.name);
    out.string(column.type);
    writeValues(out, rows, column);
  }
  return out.take();
}

export type ColumnType = Pick<Column, 'name' | 'type'>;

/** The structure of a block, as the `file` table function wants it: `metric LowCardinality(String), value Float64`. */
export function formatStructure(columns: readonly ColumnType[]): string {
  return columns.map(({ name, type }) => `${name} ${type}`).join(', ');
}

// Version of the key serialisation, and the flags of one: keys of its own (0x200), indexes of 32 bits (2).
const SHARED_DICTIONARIES_WITH_ADDITIONAL_KEYS = 1;
const OWN_KEYS_UINT32 = 0x202;

function writeValues(out: Writer, rows: number, column: Column): void {
  switch (column.type) {
    case 'LowCardinality(String)':
      if (rows === 0) return;
      out.uint64(SHARED_DICTIONARIES_WITH_ADDITIONAL_KEYS);
      writeDictionary(out, column.values);
      return;
    case 'Array(LowCardinality(String))':
      if (rows === 0) return;
      out.uint64(SHARED_DICTIONARIES_WITH_ADDITIONAL_KEYS);
      writeEnds(out, column.ends);
      if (column.values.indexes.length > 0) writeDictionary(out, column.values);
      return;
    case 'Array(UInt32)':
      writeEnds(out, column.ends);
      out.raw(column.values);
      return;
    case 'Array(Array(Float64))':
      writeEnds(out, column.ends);
      writeEnds(out, column.innerEnds);
      out.raw(column.values);
      return;
    case 'String':
      for (const text of column.values) out.string(text);
      return;
    case 'Float64':
      out.raw(Float64Array.from(column.values));
      return;
    case "DateTime64(3, 'UTC')":
    case 'UInt64':
      for (let i = 0; i < rows; i += 1) out.uint64(column.values[i] ?? 0);
      return;
    case 'UInt32':
    case "DateTime('UTC')":
      out.raw(Uint32Array.from(column.values));
      return;
  }
}

function writeDictionary(out: Writer, { texts, indexes }: Dictionary): void {
  out.uint64(OWN_KEYS_UINT32);
  out.uint64(texts.length);
  for (const text of texts) out.string(text);
  out.uint64(indexes.length);
  out.raw(indexes);
}

function writeEnds(out: Writer, ends: Float64Array): void {
  for (const end of ends) out.uint64(end);
}

/** An upper bound of what a column takes: a UTF-16 unit is at most three bytes of UTF-8, a length at most five. */
function boundBytes(rows: number, column: Column): number {
  const head = (column.name.length + column.type.length) * 3 + 64;
  if (column.type === 'LowCardinality(String)') return head + boundTextBytes(column.values.texts) + rows * 4;
  if (column.type === 'String') return head + boundTextBytes(column.values);
  if (!('ends' in column)) return head + rows * 8;
  const ends = head + column.ends.length * 8;
  if (column.type === 'Array(Array(Float64))') return ends + (column.innerEnds.length + column.values.length) * 8;
  if (column.type === 'Array(UInt32)') return ends + column.values.length * 4;
  return ends + boundTextBytes(column.values.texts) + column.values.indexes.length * 4;
}

function boundTextBytes(texts: readonly string[]): number {
  return texts.reduce((sum, text) => sum + text.length * 3 + 5, 0);
}

type Writer = ReturnType<typeof makeWriter>;

function makeWriter(bytesMax: number) {
  const buffer = Buffer.allocUnsafe(bytesMax);
  let at = 0;
  const varUint = (value: number): void => {
    let rest = value;
    for (; rest >= 0x80; rest = Math.floor(rest / 128)) buffer[at++] = (rest % 128) | 0x80;
    buffer[at++] = rest;
  };
  return {
    varUint,
    string(text: string): void {
      varUint(Buffer.byteLength(text));
      at += buffer.write(text, at);
    },
    uint64(value: number): void {
      buffer.writeUInt32LE(value % 0x1_0000_0000, at);
      buffer.writeUInt32LE(Math.floor(value / 0x1_0000_0000), at + 4);
      at += 8;
    },
    raw(values: Float64Array | Uint32Array): void {
      buffer.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), at);
      at += values.byteLength;
    },
    take: (): Buffer => buffer.subarray(0, at),
  };
}
