import { err, ok, type Result } from './result.ts';

/** Of the values that are told by their difference, the most digits after the point: microseconds in a count of seconds. */
const POWERS = [1, 10, 100, 1e3, 1e4, 1e5, 1e6] as const;
/** What stands in the place of a count of digits where no difference tells the value: it is a hole, or follows whole. */
const NO_DIFFERENCE = 7;
const HOLE = NO_DIFFERENCE;
const WHOLE = NO_DIFFERENCE + 8;
/** Eight times as much, and the digits, are a number without loss. */
const DIFFERENCE_MAX = 2 ** 48;
const CUT_SHORT = 'the differences are cut short';

/**
 * What came last of each series: `values` the last that was one, NaN where none was yet; `holes` is 1 where a hole came
 * after it.
 */
export type Before = { readonly values: Float64Array; readonly holes: Uint8Array };

/**
 * Samples, of shape [series, ticks], as what changed beside those before in the same series. Nothing is lost: the values
 * come back bit by bit, but for what a NaN holds.
 *
 * A bit for each sample says whether it is another one than that before, a hole after a hole being the same. Then, for
 * each that is, a number of seven bits a byte, the lowest first: 8 × the difference (zigzag) to the last value, in units of
 * 10^-digits, + the digits after the point; 7 is a hole; 15 is followed by the eight bytes of the value. What the kernel counts are decimals, so most take one or two bytes. Source: Afroozeh et al.,
 * "ALP: Adaptive Lossless floating-Point Compression", 2023; varint and zigzag as in Protocol Buffers.
 */
export function encodeDifferences(values: Float64Array, before: Before): Uint8Array {
  const series = before.values.length;
  const ticks = series === 0 ? 0 : values.length / series;
  const maskBytes = Math.ceil(values.length / 8);
  const bytes = new Uint8Array(maskBytes + 9 * values.length);
  const view = new DataView(bytes.buffer);
  let end = maskBytes;
  let place = 0;
  for (let row = 0; row < series; row += 1) {
    let last = before.values[row] ?? NaN;
    let previous = before.holes[row] === 1 ? NaN : last;
    for (let tick = 0; tick < ticks; tick += 1, place += 1) {
      const value = values[place] ?? NaN;
      if (!Object.is(value, previous)) {
        bytes[place >> 3] = (bytes[place >> 3] ?? 0) | (1 << (place & 7));
        const number = findNumber(value, last);
        end = writeNumber(bytes, end, number);
        if (number === WHOLE) {
          view.setFloat64(end, value, true);
          end += 8;
        }
      }
      previous = value;
      if (!Number.isNaN(value)) last = value;
    }
  }
  return bytes.subarray(0, end);
}

/** Undoes `encodeDifferences`, for bytes of any origin. `ticks` values for each series of `before` are made at once. */
export function decodeDifferences(bytes: Uint8Array, before: Before, ticks: number): Result<Float64Array, string> {
  const series = before.values.length;
  const values = new Float64Array(series * ticks);
  const walk: Walk = {
    bytes,
    view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength),
    at: Math.ceil(values.length / 8),
    fault: null,
  };
  if (walk.at > bytes.length) return err(CUT_SHORT);
  let place = 0;
  for (let row = 0; row < series; row += 1) {
    let last = before.values[row] ?? NaN;
    let value = before.holes[row] === 1 ? NaN : last;
    for (let tick = 0; tick < ticks; tick += 1, place += 1) {
      if (((bytes[place >> 3] ?? 0) & (1 << (place & 7))) !== 0) {
        value = readValue(walk, last);
        if (walk.fault !== null) return err(walk.fault);
      }
      values[place] = value;
      if (!Number.isNaN(value)) last = value;
    }
  }
  return walk.at === bytes.length ? ok(values) : err(`${bytes.length - walk.at} bytes follow the differences`);
}

/** `fault` says why what was read last is nothing. */
type Walk = { readonly bytes: Uint8Array; readonly view: DataView; at: number; fault: string | null };

function readValue(walk: Walk, last: number): number {
  const number = readNumber(walk);
  if (number === null) return fail(walk, CUT_SHORT);
  if (number % 8 !== NO_DIFFERENCE) return addDifference(last, number);
  if (number === HOLE) return NaN;
  if (number !== WHOLE) return fail(walk, `a difference may not be ${number}`);
  if (walk.at + 8 > walk.bytes.length) return fail(walk, CUT_SHORT);
  walk.at += 8;
  return walk.view.getFloat64(walk.at - 8, true);
}

function fail(walk: Walk, fault: string): number {
  walk.fault = fault;
  return NaN;
}

/** The number that stands for a value behind another one: with as few digits as give it back exactly. */
function findNumber(value: number, previous: number): number {
  if (Number.isNaN(value)) return HOLE;
  for (const [digits, power] of POWERS.entries()) {
    const difference = Math.round(value * power) - unitsOf(previous, power);
    // NaN and infinity are not below the limit.
    if (!(Math.abs(difference) < DIFFERENCE_MAX)) continue;
    const number = 8 * (difference >= 0 ? 2 * difference : -2 * difference - 1) + digits;
    if (Object.is(addDifference(previous, number), value)) return number;
  }
  return WHOLE;
}

function addDifference(previous: number, number: number): number {
  const power = POWERS[number % 8] ?? 1;
  const zigzag = Math.floor(number / 8);
  const difference = zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2;
  return (unitsOf(previous, power) + difference) / power;
}

/** Where there is nothing to count from, from 0. */
function unitsOf(value: number, power: number): number {
  const units = Math.round(value * power);
  return Number.isSafeInteger(units) ? units : 0;
}

function writeNumber(bytes: Uint8Array, at: number, number: number): number {
  let end = at;
  let left = number;
  for (; left >= 128; left = Math.floor(left / 128)) {
    bytes[end] = (left % 128) + 128;
    end += 1;
  }
  bytes[end] = left;
  return end + 1;
}

/** null where it does not end, or is larger than any that is written. */
function readNumber(walk: Walk): number | null {
  let number = 0;
  for (let factor = 1; factor <= 2 ** 49; factor *= 128) {
    const byte = walk.bytes[walk.at];
    if (byte === undefined) return null;
    walk.at += 1;
    number += (byte & 127) * factor;
    if (byte < 128) return Number.isSafeInteger(number) ? number : null;
  }
  return null;
}
