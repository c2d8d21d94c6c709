/** So much of its last standing a shown one keeps from reading to reading: a burst is seen for about a minute. */
const KEPT_RATIO = 0.8;
/** A newcomer must be this many times as large as the one whose place it takes. */
const LEAD = 1.25;

/**
 * Chooses the `sizeMax` largest of what is measured again and again, none below `floor`, so that they do not flicker: a
 * shown one falls slowly in standing when it grows quiet, and a newcomer must be clearly larger than the last one.
 */
export function makeTop(sizeMax: number, floor: number): (values: ReadonlyMap<string, number>) => readonly string[] {
  let shown: ReadonlyMap<string, number> = new Map();
  return (values) => {
    const ranked: { readonly key: string; readonly standing: number; readonly rank: number }[] = [];
    for (const [key, value] of values) {
      const before = shown.get(key);
      const standing = before === undefined ? value : Math.max(value, before * KEPT_RATIO);
      if (standing >= floor) ranked.push({ key, standing, rank: before === undefined ? standing : standing * LEAD });
    }
    const chosen = ranked.toSorted((a, b) => b.rank - a.rank || (a.key < b.key ? -1 : 1)).slice(0, sizeMax);
    shown = new Map(chosen.map(({ key, standing }) => [key, standing]));
    return [...shown.keys()];
  };
}

/**
 * Lets in at most `newcomersMax` keys in each `windowMs` that were not let in in the window before, so that programs that
 * call themselves anew each time do not make series without end.
 */
export function makeGate(newcomersMax: number, windowMs: number): (key: string, nowMs: number) => boolean {
  let lately: ReadonlySet<string> = new Set();
  let current = new Set<string>();
  let newcomers = 0;
  let beganMs = Number.NEGATIVE_INFINITY;
  return (key, nowMs) => {
    if (nowMs - beganMs >= windowMs || nowMs < beganMs) {
      lately = current;
      current = new Set();
      newcomers = 0;
      beganMs = nowMs;
    }
    if (current.has(key)) return true;
    if (!lately.has(key)) {
      if (newcomers >= newcomersMax) return false;
      newcomers += 1;
    }
    current.add(key);
    return true;
  };
}
