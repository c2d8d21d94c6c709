import { closeSync, fdatasync, ftruncate, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { StoreError } from '../domain/store-error.ts';
import { readFrames } from './frame.ts';
import { makeTurns } from './turns.ts';

const syncData = promisify(fdatasync);
const cutAt = promisify(ftruncate);

/** As soon as so much waits the engine takes it, or when it has waited so long. */
const FLUSH_BYTES = 32 * 1024 * 1024;
const FLUSH_MS = 1_000;
/** What may wait while the engine takes nothing. */
const WAITING_BYTES_MAX = 256 * 1024 * 1024;
/** One takes what comes while the engine reads the other. They are emptied, not removed: files are dear to make. */
const NAMES = ['journal-0.native', 'journal-1.native'] as const;

/**
 * Blocks that are stored, and not in their table yet. The engine takes milliseconds for a block, however small, and a
 * dozen files; a write to a file takes microseconds, and outlives a kill as well. So they are stored in a file, in the
 * format that the engine reads, and it takes many at once.
 */
export type Journal = {
  /** Stores a framed block (frame.ts); on the disk, where power may be lost. */
  readonly append: (block: Uint8Array) => Promise<void>;
  /** Puts into the table what was appended before. Rejects when the engine does not take it: then it is kept. */
  readonly flush: () => Promise<void>;
  /** Whether what is appended from now on is to outlive a loss of power. */
  readonly setSynced: (isSynced: boolean) => void;
  /** What the engine does not take is kept for the next opening. */
  readonly close: () => Promise<void>;
};

/** Puts the blocks of a file into the table; `isRepeated`: some may be there already. */
export type TakeFile = (file: string, isRepeated: boolean) => Promise<void>;

type Slot = { readonly file: string; readonly descriptor: number; bytes: number; isRepeated: boolean };

/** Opens the journal in a directory that exists. What a kill has left there is put into the table first. */
export function openJournal(directory: string, take: TakeFile): Journal {
  let [active, other] = [openSlot(join(directory, NAMES[0])), openSlot(join(directory, NAMES[1]))];
  const inTurn = makeTurns();
  let timer: NodeJS.Timeout | null = null;
  let isSynced = false;
  let fault: unknown = null;

  async function empty(slot: Slot): Promise<void> {
    if (slot.bytes === 0) return;
    await cutAt(slot.descriptor, slot.bytes); // behind it is what could not be written whole
    const { isRepeated } = slot;
    slot.isRepeated = true;
    await take(slot.file, isRepeated);
    await cutAt(slot.descriptor, 0);
    Object.assign(slot, { bytes: 0, isRepeated: false });
  }

  async function flush(): Promise<void> {
    if (timer !== null) clearTimeout(timer);
    timer = null;
    try {
      await empty(other);
      [active, other] = [other, active];
      await empty(other);
      fault = null;
    } catch (error) {
      fault = error;
      plan();
      throw error;
    }
  }

  /** What fails is tried again, and told of by who appends, or reads. */
  function plan(): void {
    timer ??= setTimeout(() => void inTurn(flush).catch(() => undefined), FLUSH_MS);
  }

  return {
    async append(block) {
      const { descriptor, bytes } = active;
      if (bytes + block.length > WAITING_BYTES_MAX) throw new StoreError(TAKES_NOTHING, false, fault);
      const slot = active;
      // In this thread, as the agent's spool: a write to the page cache takes less than the way to another thread.
      for (let at = 0; at < block.length;) at += writeSync(descriptor, block, at, block.length - at, bytes + at);
      slot.bytes += block.length;
      if (slot.bytes >= FLUSH_BYTES && fault === null) void inTurn(flush).catch(() => undefined);
      else plan();
      if (isSynced) await syncData(descriptor);
    },
    flush: () => inTurn(flush),
    setSynced: (value) => (isSynced = value),
    close: () =>
      inTurn(async () => {
        await flush().catch(() => undefined);
        if (timer !== null) clearTimeout(timer);
        for (const { descriptor, file, bytes } of [active, other]) {
          closeSync(descriptor);
          if (bytes === 0) rmSync(file, { force: true });
        }
      }),
  };
}

export function isJournal(name: string): boolean {
  return NAMES.some((one) => one === name);
}

const TAKES_NOTHING = 'The database has taken nothing for too long; the log of the collector says why';

/** What was torn by a kill, or by a loss of power, was not acknowledged, or not said to outlive that: it is cut off. */
function openSlot(file: string): Slot {
  const descriptor = openSync(file, 'a+', 0o600);
  closeSync(descriptor);
  const bytes = readFrames(readFileSync(file));
  return { file, descriptor: openSync(file, 'r+'), bytes, isRepeated: bytes > 0 };
}
