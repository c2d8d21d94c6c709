/** Far more than a host has devices, mounts and interfaces; the bound is for names that come and go for ever. */
export const KEYS_MAX = 10_000;

/** `make`, called once for each key. Label texts are made this way: the sampling path builds no strings. */
export function remember<T>(make: (key: string) => T): (key: string) => T {
  const made = new Map<string, T>();
  return (key) => {
    const known = made.get(key);
    if (known !== undefined) return known;
    const value = make(key);
    if (made.size >= KEYS_MAX) made.clear();
    made.set(key, value);
    return value;
  };
}
