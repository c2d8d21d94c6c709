import type { Part } from './open-store.ts';

/** Closes in the reverse of the order opened; a part that fails does not keep the others open. */
export async function closeAll(opened: readonly Part[]): Promise<void> {
  const faults: unknown[] = [];
  for (const { name, close } of opened.toReversed()) {
    try {
      await close();
    } catch (cause) {
      faults.push(new Error(`Cannot close the ${name}`, { cause }));
    }
  }
  if (faults.length > 0) throw faults[0];
}
