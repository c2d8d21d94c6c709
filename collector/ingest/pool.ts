/** Of texts that are held: their objects, their key, their place here; 230 as measured, and some. */
const ENTRY_BYTES = 260;
/** A character takes two bytes, should one of its text need them; and the key has all of them once more. */
const CHARACTER_BYTES = 4;

type Texts = readonly string[];
type Entry<T> = { readonly texts: T; users: number };

/** Short lists of texts that many hold, each of them once in memory for as long as somebody holds it. */
export type Pool<T extends Texts> = {
  /** The same, held once more; each has to be given back. */
  readonly take: (all: readonly T[]) => readonly T[];
  readonly giveBack: (all: readonly T[]) => void;
  readonly heldBytes: () => number;
};

export function makePool<T extends Texts>(): Pool<T> {
  const entries = new Map<string, Entry<T>>();
  let heldBytes = 0;

  function take(texts: T): T {
    const key = texts.join(' ');
    const found = entries.get(key);
    if (found !== undefined) {
      found.users += 1;
      return found.texts;
    }
    entries.set(key, { texts, users: 1 });
    heldBytes += sizeOf(key);
    return texts;
  }

  function giveBack(texts: T): void {
    const key = texts.join(' ');
    const found = entries.get(key);
    if (found === undefined) return;
    found.users -= 1;
    if (found.users > 0) return;
    entries.delete(key);
    heldBytes -= sizeOf(key);
  }

  return {
    // An empty list stays the one that it is.
    take: (all) => (all.length === 0 ? all : all.map(take)),
    giveBack: (all) => all.forEach(giveBack),
    heldBytes: () => heldBytes,
  };
}

function sizeOf(key: string): number {
  return ENTRY_BYTES + CHARACTER_BYTES * key.length;
}
