import { setTimeout as sleep } from 'node:timers/promises';

/** Looks every 50 ms until something is there; throws after 20 s. */
export async function until<T>(what: string, look: () => T | null | Promise<T | null>): Promise<T> {
  for (let attempt = 0; attempt < 400; attempt += 1) {
    const found = await look();
    if (found !== null) return found;
    await sleep(50);
  }
  throw new Error(`Waited in vain for ${what}`);
}
