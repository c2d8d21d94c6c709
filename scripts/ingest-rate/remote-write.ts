import type { Batch } from '@muster/proto/batch';

/** Of a sample: tag and length; tag and value; tag and time, which takes six bytes until 2109. */
const SAMPLE_BYTES = 18;
const VALUE_AT = 3;
const TIME_AT = 12;
const TIME_BYTES = 6;

/**
 * Makes the bodies of Prometheus' remote write 1.0 of the batches of a host, which have the same series and as many ticks
 * each: all are written into the same bytes. They are blocks of Snappy with nothing but literals, one a series, which is
 * the least work for both sides.
 */
export function makeRemoteWriter(
  host: string,
  { series, ticksMs: { length: ticks } }: Batch,
): (batch: Batch) => Buffer {
  const entries = series.map(([metric]) => encodeEntry(encodeLabels(metric, host), ticks));
  const bytes = entries.reduce((sum, entry) => sum + entry.length, 0);
  const literals = entries.flatMap((entry) => [encodeLiteralHead(entry.length), entry]);
  const body = Buffer.concat([Buffer.from(encodeVarint(bytes)), ...literals]);
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  let end = body.length - literals.reduce((sum, part) => sum + part.length, 0);
  const firsts = entries.map((entry) => {
    end += LITERAL_HEAD_BYTES + entry.length;
    return end - ticks * SAMPLE_BYTES;
  });
  return ({ ticksMs, values }) => {
    for (let tick = 0; tick < ticks; tick += 1) {
      const time = encodeVarint(ticksMs[tick] ?? 0);
      for (let row = 0; row < firsts.length; row += 1) {
        const at = (firsts[row] ?? 0) + tick * SAMPLE_BYTES;
        view.setFloat64(at + VALUE_AT, values[row * ticks + tick] ?? NaN, true);
        for (let i = 0; i < TIME_BYTES; i += 1) body[at + TIME_AT + i] = time[i] ?? 0;
      }
    }
    return body;
  };
}

/** A `TimeSeries` as a field of the request, its samples still empty. */
function encodeEntry(labels: Buffer, ticks: number): Buffer {
  const sample = Buffer.alloc(SAMPLE_BYTES);
  sample.set([0x12, SAMPLE_BYTES - 2, 0x09]);
  sample[TIME_AT - 1] = 0x10;
  return encodeField(0x0a, Buffer.concat([labels, ...Array.from({ length: ticks }, () => sample)]));
}

/** In the order of their names, as the protocol asks. */
function encodeLabels(metric: string, host: string): Buffer {
  const pairs = [
    ['__name__', metric.replaceAll('.', '_')],
    ['host', host],
  ] as const;
  return Buffer.concat(
    pairs.map(([name, value]) =>
      encodeField(0x0a, Buffer.concat([encodeField(0x0a, Buffer.from(name)), encodeField(0x12, Buffer.from(value))])),
    ),
  );
}

function encodeField(tag: number, bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from([tag, ...encodeVarint(bytes.length)]), bytes]);
}

function encodeVarint(number: number): readonly number[] {
  const bytes: number[] = [];
  let left = number;
  for (; left >= 128; left = Math.floor(left / 128)) bytes.push((left % 128) + 128);
  return [...bytes, left];
}

/** Before at most 65,536 bytes, which a series of 100 ticks is far from. */
function encodeLiteralHead(bytes: number): Buffer {
  return Buffer.from([61 << 2, (bytes - 1) & 255, (bytes - 1) >> 8]);
}
const LITERAL_HEAD_BYTES = 3;
