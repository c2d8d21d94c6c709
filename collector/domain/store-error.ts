/**
 * The store could not write, or is away. `message` is for whoever asked for it: it says what to do and names no path; the log has
 * the cause. A class, so that whoever catches it can tell it from a bug.
 */
export class StoreError extends Error {
  override readonly name = 'StoreError';
  /** For want of space on its disk. */
  readonly isFull: boolean;
  /** Whatever is asked of the store next fails as well: it is told of once, and asked again until it is over. */
  readonly isOutage: boolean;

  constructor(message: string, isFull: boolean, cause: unknown, isOutage = isFull) {
    super(message, { cause });
    this.isFull = isFull;
    this.isOutage = isOutage;
  }
}
