/** Reads JSON from text of any origin; undefined, which JSON cannot say, for text that is none. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
