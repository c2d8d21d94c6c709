import { err, ok, type Result } from '@muster/proto/result';

export type BufferOptions<T> = {
  /** Puts items into the store, all or none; throws when it could not. Putting one again changes nothing. */
  readonly insert: (items: readonly T[]) => Promise<void>;
  readonly sizeOf: (item: T) => { readonly rows: number; readonly bytes: number };
  /** A commit starts when this many rows wait … */
  readonly commitRows: number;
  /** … or this many bytes … */
  readonly commitBytes: number;
  /** … or when the oldest has waited this long. */
  readonly commitMs: number;
  /** What may be held at once, waiting or being committed. A row is counted with 8 bytes at least, which bounds both. */
  readonly bytesMax: number;
  /** What has waited so long for its commit to begin is given back: whoever sent it waits no longer either. */
  readonly waitMsMax: number;
  /** The store takes nothing; the items are given back. */
  readonly onError: (error: unknown) => void;
  /** The store takes others, but not this one. */
  readonly onRejected: (item: T, error: unknown) => void;
};

/**
 * `full`: too much is held. `late`: it waited too long. `failed`: the store takes nothing. `rejected`: the store takes
 * others, but not this item. `closed`: the buffer has closed.
 */
export type BufferFault = 'full' | 'late' | 'failed' | 'rejected' | 'closed';

type Waiting<T> = {
  readonly item: T;
  readonly rows: number;
  readonly bytes: number;
  readonly settle: (result: Result<void, BufferFault>) => void;
  readonly giveUp: NodeJS.Timeout;
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
  const waiting = new Set<Waiting<T>>();
  let waitingRows = 0;
  let waitingBytes = 0;
  let heldBytes = 0;
  let timer: NodeJS.Timeout | null = null;
  let committing: Promise<void> | null = null;
  let closed = false;

  function leave(entry: Waiting<T>): void {
    clearTimeout(entry.giveUp);
    waiting.delete(entry);
    waitingRows -= entry.rows;
    waitingBytes -= entry.bytes;
  }

  function settle(entry: Waiting<T>, result: Result<void, BufferFault>): void {
    heldBytes -= entry.bytes;
    entry.settle(result);
  }

  const isDue = (): boolean => waitingRows >= options.commitRows || waitingBytes >= options.commitBytes;

  /** One commit at a time: while the engine works on one, the next grows, so that load makes blocks larger. */
  function startCommit(): void {
    if (timer !== null) clearTimeout(timer);
    timer = null;
    if (committing !== null || waiting.size === 0) return;
    const batch = [...waiting];
    for (const entry of batch) leave(entry);
    committing = commit(options, batch, settle).then(() => {
      committing = null;
      if (closed || isDue()) startCommit();
      else if (waiting.size > 0) timer ??= setTimeout(startCommit, options.commitMs);
    });
  }

  return {
    add(item) {
      const { rows, bytes } = options.sizeOf(item);
      if (closed) return Promise.resolve(err('closed'));
      if (heldBytes + bytes > options.bytesMax) return Promise.resolve(err('full'));
      heldBytes += bytes;
      waitingRows += rows;
      waitingBytes += bytes;
      const result = new Promise<Result<void, BufferFault>>((resolve) => {
        const giveUp = setTimeout(() => {
          leave(entry);
          settle(entry, err('late'));
        }, options.waitMsMax);
        const entry: Waiting<T> = { item, rows, bytes, settle: resolve, giveUp };
        waiting.add(entry);
      });
      if (isDue()) startCommit();
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

/** Puts entries into the store and tells each what became of it. */
async function commit<T>(
  options: BufferOptions<T>,
  batch: readonly Waiting<T>[],
  settle: (entry: Waiting<T>, result: Result<void, BufferFault>) => void,
): Promise<void> {
  const insert = async (entries: readonly Waiting<T>[]): Promise<{ error: unknown } | null> => {
    try {
      await options.insert(entries.map(({ item }) => item));
    } catch (error) {
      return { error };
    }
    for (const entry of entries) settle(entry, ok(undefined));
    return null;
  };
  let suspects = batch;
  let fault = await insert(suspects);
  // While one half goes in and the other does not, the fault lies in what the other half holds; if neither does, it
  // lies in the store, and trying piece by piece would only keep it busy.
  while (fault !== null && suspects.length > 1) {
    const middle = Math.ceil(suspects.length / 2);
    const [first, second] = [suspects.slice(0, middle), suspects.slice(middle)];
    const firstFault = await insert(first);
    const secondFault = await insert(second);
    if (firstFault !== null && secondFault !== null) {
      options.onError(secondFault.error);
      for (const entry of suspects) settle(entry, err('failed'));
      return;
    }
    suspects = firstFault === null ? second : first;
    fault = firstFault ?? secondFault;
  }
  const [culprit] = suspects;
  if (fault === null || culprit === undefined) return;
  if (batch.length === 1) options.onError(fault.error);
  else options.onRejected(culprit.item, fault.error);
  settle(culprit, err(batch.length === 1 ? 'failed' : 'rejected'));
}
