import { encodeProtobuf } from '../sources/otlp/protobuf.ts';

function double(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return bytes;
}

/** A field of eight bytes, which encodeProtobuf has no need of. */
export function fixed(number: number, bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from([number * 8 + 1]), bytes]);
}

// Built by hand after opentelemetry-proto v1: one sum of 5 since 256 ns, one exponential histogram, a field that nobody knows.
const ATTRIBUTE = encodeProtobuf([
  [1, 'service.name'],
  [2, encodeProtobuf([[1, 'shop']])],
]);
const SUM = encodeProtobuf([
  [1, 'requests'],
  [3, '{request}'],
  [99, 'unknown'],
  [
    7,
    encodeProtobuf([
      [
        1,
        Buffer.concat([
          fixed(2, Buffer.from([0, 1, 0, 0, 0, 0, 0, 0])),
          fixed(3, Buffer.from([0, 2, 0, 0, 0, 0, 0, 0])),
          fixed(6, Buffer.from([5, 0, 0, 0, 0, 0, 0, 0])),
        ]),
      ],
      [2, 2],
      [3, 1],
    ]),
  ],
]);
const EXPONENTIAL = encodeProtobuf([
  [1, 'e'],
  [
    10,
    encodeProtobuf([
      [
        1,
        Buffer.concat([
          fixed(4, Buffer.from([3, 0, 0, 0, 0, 0, 0, 0])),
          fixed(5, double(9)),
          encodeProtobuf([
            [6, 1], // zigzag: -1
            [
              8,
              encodeProtobuf([
                [1, 2],
                [2, Buffer.from([1, 2])],
              ]),
            ], // offset 1, packed counts
          ]),
        ]),
      ],
      [2, 1],
    ]),
  ],
]);
export const MESSAGE = encodeProtobuf([
  [
    1,
    encodeProtobuf([
      [1, encodeProtobuf([[1, ATTRIBUTE]])],
      [
        2,
        encodeProtobuf([
          [2, SUM],
          [2, EXPONENTIAL],
        ]),
      ],
    ]),
  ],
]);
