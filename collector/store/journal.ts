import {
  closeSync,
  fdatasync,
  ftruncate,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { crc32 } from 'node:zlib';

import type { Log } from '@muster/proto/log';

import { StoreError } from '../domain/store-error.ts';
import { findFrames } from './frame.ts';
import { makeTurns, shareNext } from './turns.ts';

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

export type JournalOptions = {
  /** A directory that exists. */
  readonly directory: string;
  /** The folder, made when it is needed, for blocks that the engine cannot read. */
  readonly refused: string;
  /** Puts the blocks of a file into the table; `isRepeated`: some may be there already. */
  readonly take: (file: string, isRepeated: boolean) => Promise<void>;
  /** False: whatever the state of the engine and its disk, it cannot read the blocks of a file. */
  readonly canRead: (file: string) => Promise<boolean>;
  readonly log: Log;
};

/** `isDamaged`: some of it is no whole block, and must not be read. */
type Slot = {
  readonly file: string;
  readonly descriptor: number;
  bytes: number;
  isRepeated: boolean;
  isDamaged: boolean;
};

/** Opens the journal. What a kill has left there is put into the table first. */
export function openJournal(options: JournalOptions): Journal {
  let [active, other] = [openSlot(NAMES[0], options), openSlot(NAMES[1], options)];
  const takeSlot = makeTakeSlot(options);
  const inTurn = makeTurns();
  const flushNext = shareNext(inTurn, flush);
  let timer: NodeJS.Timeout | null = null;
  let isSynced = false;
  let fault: unknown = null;
  /** Then the numbers of its files are those of others. */
  let isClosed = false;

  async function empty(slot: Slot): Promise<void> {
    if (slot.bytes === 0) return;
    await cutAt(slot.descriptor, slot.bytes); // behind it is what could not be written whole
    const found = { ...slot };
    slot.isRepeated = true;
    await takeSlot(found);
    await cutAt(slot.descriptor, 0);
    Object.assign(slot, { bytes: 0, isRepeated: false, isDamaged: false });
  }

  async function flush(): Promise<void> {
    if (timer !== null) clearTimeout(timer);
    timer = null;
    if (isClosed) throw new Error('The store is closing');
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
    timer ??= setTimeout(() => void flushNext().catch(() => undefined), FLUSH_MS);
  }

  return {
    async append(block) {
      if (isClosed) throw new Error('The store is closing');
      const { descriptor, bytes } = active;
      if (bytes >= WAITING_BYTES_MAX) throw new StoreError(TAKES_NOTHING, false, fault);
      const slot = active;
      // In this thread, as the agent's spool: a write to the page cache takes less than the way to another thread.
      for (let at = 0; at < block.length;) at += writeSync(descriptor, block, at, block.length - at, bytes + at);
      slot.bytes += block.length;
      if (slot.bytes >= FLUSH_BYTES && fault === null) void flushNext().catch(() => undefined);
      else plan();
      if (isSynced) await syncData(descriptor);
    },
    flush: flushNext,
    setSynced: (value) => (isSynced = value),
    close: () =>
      inTurn(async () => {
        await flush().catch(() => undefined);
        if (timer !== null) clearTimeout(timer);
        isClosed = true;
        for (const { descriptor, file, bytes } of [active, other]) {
          closeSync(descriptor);
          if (bytes === 0) rmSync(file, { force: true });
        }
      }),
  };
}

/** Puts the blocks of a file into the table, in as many steps as it needs. */
function makeTakeSlot({ directory, refused, take, canRead, log }: JournalOptions) {
  const part = join(directory, 'part.native');

  /** One that cannot be read would keep all others from the table, for ever: it is set aside. */
  async function takeApart(blocks: readonly Buffer[]): Promise<void> {
    if (blocks.length === 0) return;
    writeFileSync(part, Buffer.concat(blocks), { mode: 0o600 });
    const middle = Math.ceil(blocks.length / 2);
    if (await canRead(part)) await take(part, true);
    else if (blocks.length === 1) setAside(Buffer.concat(blocks));
    else for (const half of [blocks.slice(0, middle), blocks.slice(middle)]) await takeApart(half);
    rmSync(part, { force: true });
  }

  function setAside(block: Buffer): void {
    const file = join(refused, `${crc32(block).toString(16)}.native`); // after a kill it is written again
    mkdirSync(refused, { recursive: true, mode: 0o700 });
    writeFileSync(file, block, { mode: 0o600, flush: true });
    log.error('journal.refused', { file, bytes: block.length });
  }

  return async ({ file, isRepeated, isDamaged }: Slot): Promise<void> => {
    if (!isDamaged) {
      try {
        return await take(file, isRepeated);
      } catch (error) {
        if (await canRead(file)) throw error;
      }
    }
    await takeApart(findFrames(readFileSync(file)));
  };
}

export function isJournal(name: string): boolean {
  return NAMES.some((one) => one === name);
}

const TAKES_NOTHING = 'The database has taken nothing for too long; the log of the collector says why';

/**
 * What was torn by a kill, or by a loss of power, was not acknowledged, or not said to outlive that: at the end it is cut off.
 */
function openSlot(name: string, { directory, log }: JournalOptions): Slot {
  const file = join(directory, name);
  const descriptor = openSync(file, 'a+', 0o600);
  closeSync(descriptor);
  const content = readFileSync(file);
  const blocks = findFrames(content);
  const last = blocks.at(-1);
  const bytes = last === undefined ? 0 : last.byteOffset - content.byteOffset + last.length;
  const wholeBytes = blocks.reduce((sum, { length }) => sum + length, 0);
  const isDamaged = bytes > wholeBytes;
  if (isDamaged) log.error('journal.damaged', { file, keptBytes: wholeBytes, lostBytes: content.length - wholeBytes });
  else if (content.length > bytes)
    log.warn('journal.torn', { file, keptBytes: bytes, cutBytes: content.length - bytes });
  return { file, descriptor: openSync(file, 'r+'), bytes, isRepeated: bytes > 0, isDamaged };
}
