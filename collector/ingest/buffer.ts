import { err, ok, type Result } from '@muster/proto/result';

export type BufferOptions<T> = {
  /** Puts items into the store, all or none; throws when it could not. */
  readonly insert: (items: readonly T[]) => Promise<void>;
  readonly sizeOf: (item: T) => { readonly rows: number; readonly bytes: number };
  /** A commit starts when this many rows wait … */
  readonly commitRows: number;
  /** … or when the oldest has waited this long. */
  readonly commitMs: number;
  /** What may be held at once, waiting or being committed. */
  readonly bytesMax: number;
  readonly onError: (error: unknown) => void;
};

export type BufferFault = 'full' | 'failed' | 'closed';

type Waiting<T> = {
  readonly item: T;
  readonly bytes: number;
  readonly settle: (result: Result<void, BufferFault>) => void;
};

/** Gathers items of many senders into few large inserts; each sender learns what became of its own item. */
export type Buffer<T> = {
  /** Resolves when the item is in the store (ok), or will not get there. Never rejects. */
  add(item: T): Promise<Result<void, BufferFault>>;
  heldBytes(): number;
  /** Takes nothing more, commits what is there, and returns when that is done. */
  close(): Promise<void>;
};

export function openBuffer<T>(options: BufferOptions<T>): Buffer<T> {
  let waiting: Waiting<T>[] = [];
  let waitingRows = 0;
  let heldBytes = 0;
  let timer: NodeJS.Timeout | null = null;
  let committing: Promise<void> | null = null;
  let closed = false;

  async function commit(batch: readonly Waiting<T>[]): Promise<void> {
    let result: Result<void, BufferFault> = ok(undefined);
    try {
      await options.insert(batch.map(({ item }) => item));
    } catch (error) {
      options.onError(error);
      result = err('failed');
    }
    for (const { bytes, settle } of batch) {
      heldBytes -= bytes;
      settle(result);
    }
  }

  /** One commit at a time: while the engine works on one, the next grows, so that load makes blocks larger. */
  function startCommit(): void {
    if (timer !== null) clearTimeout(timer);
    timer = null;
    if (committing !== null || waiting.length === 0) return;
    const batch = waiting;
    waiting = [];
    waitingRows = 0;
    committing = commit(batch).then(() => {
      committing = null;
      if (closed || waitingRows >= options.commitRows) startCommit();
      else if (waiting.length > 0) timer ??= setTimeout(startCommit, options.commitMs);
    });
  }

  return {
    add(item) {
      const { rows, bytes } = options.sizeOf(item);
      if (closed) return Promise.resolve(err('closed'));
      if (heldBytes + bytes > options.bytesMax) return Promise.resolve(err('full'));
      heldBytes += bytes;
      waitingRows += rows;
      const result = new Promise<Result<void, BufferFault>>((settle) => {
        waiting.push({ item, bytes, settle });
      });
      if (waitingRows >= options.commitRows) startCommit();
      else if (committing === null) timer ??= setTimeout(startCommit, options.commitMs);
      return result;
    },
    heldBytes: () => heldBytes,
    async close() {
      closed = true;
      startCommit();
      // A commit that ends starts the next one while anything waits.
      while (committing !== null) await committing;
    },
  };
}
