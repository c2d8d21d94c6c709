/** An export lies in seven levels of arrays and as many of objects; a value that is a list is not read. */
const DEPTH_MAX = 32;
/** What a JSON text may hold before it is taken apart: each value becomes an object of many times its size. */
const VALUES_MAX = 400_000;

const [QUOTE, BACKSLASH, COMMA] = [0x22, 0x5c, 0x2c];
const [OPENING_BRACKET, CLOSING_BRACKET, OPENING_BRACE, CLOSING_BRACE] = [0x5b, 0x5d, 0x7b, 0x7d];

/** What is wrong with the size of a JSON text, whether or not it is one; null when nothing is. Builds nothing. */
export function findJsonFault(bytes: Uint8Array): string | null {
  let [depth, values, isInText] = [0, 0, false];
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at];
    if (isInText) {
      if (byte === BACKSLASH) at += 1;
      else if (byte === QUOTE) isInText = false;
      continue;
    }
    if (byte === QUOTE) isInText = true;
    else if (byte === COMMA) values += 1;
    else if (byte === OPENING_BRACKET || byte === OPENING_BRACE) {
      depth += 1;
      values += 1;
      if (depth > DEPTH_MAX) return `it is nested deeper than ${DEPTH_MAX}`;
    } else if (byte === CLOSING_BRACKET || byte === CLOSING_BRACE) depth -= 1;
  }
  return values > VALUES_MAX ? `it holds more than ${VALUES_MAX} values` : null;
}
