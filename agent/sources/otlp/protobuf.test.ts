import fc from 'fast-check';
import { expect, test } from 'vitest';

import { fixed, MESSAGE } from '../../testing/otlp-message.ts';
import { parseExport } from './export.ts';
import { decodeProtobuf } from './protobuf.ts';
import { EXPORT_METRICS_REQUEST } from './schema.ts';

test('decodeProtobuf() reads what its JSON form would say', () => {
  expect(decodeProtobuf(MESSAGE, EXPORT_METRICS_REQUEST)).toEqual({
    resourceMetrics: [
      {
        resource: { attributes: [{ key: 'service.name', value: { stringValue: 'shop' } }] },
        scopeMetrics: [
          {
            metrics: [
              {
                name: 'requests',
                unit: '{request}',
                sum: {
                  dataPoints: [{ startTimeUnixNano: 256, timeUnixNano: 512, asInt: 5 }],
                  aggregationTemporality: 2,
                  isMonotonic: true,
                },
              },
              {
                name: 'e',
                exponentialHistogram: {
                  dataPoints: [{ count: 3, sum: 9, scale: -1, positive: { offset: 1, bucketCounts: [1, 2] } }],
                  aggregationTemporality: 1,
                },
              },
            ],
          },
        ],
      },
    ],
  });
});

test('decodeProtobuf() reads numbers of 64 bits, below 0 too', () => {
  const schema = { 1: { name: 'int', type: 'int64' }, 2: { name: 'fixed', type: 'sfixed64' } } as const;
  const minusFive = Buffer.from([8, 251, 255, 255, 255, 255, 255, 255, 255, 255, 1]);
  const fixedMinusFive = fixed(2, Buffer.from([251, 255, 255, 255, 255, 255, 255, 255]));
  expect(decodeProtobuf(Buffer.concat([minusFive, fixedMinusFive]), schema)).toEqual({ int: -5, fixed: -5 });
});

test('decodeProtobuf() never throws, whatever the bytes', () => {
  fc.assert(fc.property(fc.uint8Array(), (bytes) => void decodeProtobuf(Buffer.from(bytes), EXPORT_METRICS_REQUEST)));
  fc.assert(
    fc.property(fc.nat(MESSAGE.length - 1), fc.nat(255), (at, byte) => {
      const bytes = Buffer.from(MESSAGE);
      bytes[at] = byte;
      parseExport(decodeProtobuf(bytes, EXPORT_METRICS_REQUEST));
      expect(decodeProtobuf(MESSAGE.subarray(0, at + 1), EXPORT_METRICS_REQUEST) === null).toBe(
        at + 1 < MESSAGE.length,
      );
    }),
  );
  // A million empty resources in two mebibytes.
  const empty = Buffer.alloc(2 * 1024 * 1024).map((_, i) => (i % 2 === 0 ? 10 : 0));
  expect(decodeProtobuf(Buffer.from(empty), EXPORT_METRICS_REQUEST)).toBeNull();
});
