import { countFieldBytes, decodeFields, encodeFields } from './fields.ts';

/**
 * What was true at the last write: where the next record goes on, and how many samples all records held, so that it is
 * known what is missing when the newest records themselves are.
 */
export type Head = {
  readonly epoch: number;
  readonly seq: number;
  readonly taken: number;
  readonly floor: number;
  readonly floorTaken: number;
  /** The newest tick, and the interval then; 0 before there was one. */
  readonly lastMs: number;
  readonly everyMs: number;
  /** The agent ended in order: nothing that it sampled was left unwritten. */
  readonly isClosed: boolean;
};

/** That of a spool in which nothing was written yet. */
export function startHead(epoch: number): Head {
  return { epoch, seq: 0, taken: 0, floor: 0, floorTaken: 0, lastMs: 0, everyMs: 0, isClosed: false };
}

const LAYOUT = { isClosed: 4, epoch: 4, everyMs: 4, seq: 8, taken: 8, floor: 8, floorTaken: 8, lastMs: 8 } as const;
const COPY_BYTES = countFieldBytes(LAYOUT);

/** The head twice, so that a write that was torn, or a bit that was flipped, leaves one of the two. */
export function encodeHead(head: Head): Buffer {
  const copy = encodeFields(LAYOUT, { ...head, isClosed: head.isClosed ? 1 : 0 });
  return Buffer.concat([copy, copy]);
}

/** The first copy that is intact: it is written first. null when none is. */
export function decodeHead(file: Buffer): Head | null {
  const fields = decodeFields(LAYOUT, file, 0) ?? decodeFields(LAYOUT, file, COPY_BYTES);
  return fields === null ? null : { ...fields, isClosed: fields.isClosed === 1 };
}
