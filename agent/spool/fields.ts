import { crc32 } from 'node:zlib';

/** The numbers of a header and their widths in bytes, in the order in which they are written: 4 whole, 8 any number. */
type Layout = Readonly<Record<string, 4 | 8>>;
type Fields<L extends Layout> = Readonly<Record<keyof L, number>>;

const CRC_BYTES = 4;

export function countFieldBytes(layout: Layout): number {
  return Object.values(layout).reduce<number>((sum, bytes) => sum + bytes, CRC_BYTES);
}

/** The CRC-32 of what follows, then the fields, little-endian. */
export function encodeFields<L extends Layout>(layout: L, fields: Fields<L>): Buffer {
  const encoded = Buffer.alloc(countFieldBytes(layout));
  let at = CRC_BYTES;
  for (const [name, bytes] of Object.entries(layout)) {
    const value = fields[name] ?? 0; // every name of the layout has its number
    at = bytes === 4 ? encoded.writeUInt32LE(value, at) : encoded.writeDoubleLE(value, at);
  }
  encoded.writeUInt32LE(crc32(encoded.subarray(CRC_BYTES)));
  return encoded;
}

/** null where the checksum does not hold, or there is less than a header. */
export function decodeFields<L extends Layout>(layout: L, file: Buffer, start: number): Fields<L> | null {
  const encoded = file.subarray(start, start + countFieldBytes(layout));
  if (encoded.byteLength < countFieldBytes(layout)) return null;
  if (crc32(encoded.subarray(CRC_BYTES)) !== encoded.readUInt32LE()) return null;
  let at = CRC_BYTES;
  const fields = Object.entries(layout).map(([name, bytes]) => {
    at += bytes;
    return [name, bytes === 4 ? encoded.readUInt32LE(at - bytes) : encoded.readDoubleLE(at - bytes)] as const;
  });
  return Object.fromEntries(fields) as Fields<L>; // every name of the layout has its number
}
