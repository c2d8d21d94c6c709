/** Where an ELF file of 64 bits, little-endian, has what is needed here. Source: elf(5). */
const HEADER_BYTES = 64;
const SEGMENT_BYTES = 56;
const PT_LOAD = 1;
const PT_INTERP = 3;
const PT_NOTE = 4;
const PT_PHDR = 6;
const PF_R = 4;
const ELF_64_LITTLE = Buffer.from('7f454c460201', 'hex');

/** The note by which Node finds what it is to run, and the mark that says that there is one. Source: node/src/node_sea.cc. */
const NOTE_NAME = 'NODE_SEA_BLOB';
const FUSE = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2:';

/** One entry of the table of segments: what the system maps into memory when it starts the program. */
type Segment = {
  readonly type: number;
  readonly flags: number;
  readonly offset: number;
  readonly address: number;
  readonly fileBytes: number;
  readonly memoryBytes: number;
  readonly align: number;
};

/**
 * Makes a standalone executable of Node's own and a blob of `node --experimental-sea-config`. What is not needed to run
 * (symbols, debug information, the table of sections) is left out.
 *
 * It does what `strip` and `postject` do, and needs neither, nor a tool for the architecture: the table of segments gets
 * an entry more, in the room that the interpreter's name and the notes behind it give up; these, and the blob as a note
 * beside them, make a segment of their own at the end. The table must stay where it is: kernels before 5.18, and Node,
 * look for it right behind the header. Throws when the executable is not laid out as Node's are.
 */
export function makeExecutable(node: Buffer, blob: Uint8Array): Buffer {
  const segments = readSegments(node);
  const shiftOf = makeShift(segments);
  const interpreter = findSegment(segments, PT_INTERP);
  const notes = findSegment(segments, PT_NOTE);
  const loads = segments.filter(({ type }) => type === PT_LOAD);
  const last = loads.at(-1);
  if (last === undefined) throw new Error('Cannot use this executable: it has no segment to load');
  const table = HEADER_BYTES + (segments.length + 1) * SEGMENT_BYTES;
  const isRoom = table <= notes.offset + notes.fileBytes && interpreter.offset + interpreter.fileBytes <= notes.offset;
  if (!isRoom || notes.offset - interpreter.offset - interpreter.fileBytes >= 8)
    throw new Error('Cannot use this executable: behind its table of segments there is something unknown');

  const start = roundUp(last.offset + shiftOf(last) + last.fileBytes, last.align);
  const address = roundUp(last.address + last.memoryBytes, last.align);
  const name = contentOf(node, interpreter);
  const notesStart = roundUp(name.byteLength, 8);
  const content = Buffer.concat([
    name,
    Buffer.alloc(notesStart - name.byteLength),
    contentOf(node, notes),
    makeNote(blob),
  ]);
  const place = (from: number, bytes: number) => ({
    offset: start + from,
    address: address + from,
    fileBytes: bytes,
    memoryBytes: bytes,
  });
  const added: Segment = { type: PT_LOAD, flags: PF_R, align: last.align, ...place(0, content.byteLength) };
  const moved = segments.flatMap((segment): Segment[] => {
    if (segment === interpreter) return [{ ...segment, ...place(0, name.byteLength) }];
    if (segment === notes) return [{ ...segment, ...place(notesStart, content.byteLength - notesStart) }];
    const tableBytes = table - HEADER_BYTES;
    if (segment.type === PT_PHDR) return [{ ...segment, fileBytes: tableBytes, memoryBytes: tableBytes }];
    const shifted = { ...segment, offset: segment.offset + shiftOf(segment) };
    return segment === last ? [shifted, added] : [shifted]; // those to load stand in the order of their addresses
  });

  const made = Buffer.alloc(start + content.byteLength);
  for (const load of loads) node.copy(made, load.offset + shiftOf(load), load.offset, load.offset + load.fileBytes);
  content.copy(made, start);
  writeSegments(made, moved);
  setFuse(made);
  return made;
}

/**
 * How far the content of each segment moves in the file: all but the first to load by a page. Newer kernels (6.18 does) keep
 * a file that was just written in pieces of 2 MiB, and map these whole where the places in file and memory fit, which
 * takes 30 MB more than are used.
 */
function makeShift(segments: readonly Segment[]): (segment: Segment) => number {
  const [first, ...others] = segments.filter(({ type }) => type === PT_LOAD);
  const from = others[0]?.offset ?? Infinity;
  return ({ offset }) => (first !== undefined && offset >= from ? first.align : 0);
}

function readSegments(file: Buffer): readonly Segment[] {
  const count = file.readUInt16LE(56);
  const isKnown =
    file.subarray(0, 6).equals(ELF_64_LITTLE) &&
    readNumber(file, 32) === HEADER_BYTES &&
    file.readUInt16LE(54) === SEGMENT_BYTES;
  if (!isKnown) throw new Error('Cannot use this executable: it is no 64-bit ELF file of the usual layout');
  return Array.from({ length: count }, (_, i) => {
    const at = HEADER_BYTES + i * SEGMENT_BYTES;
    return {
      type: file.readUInt32LE(at),
      flags: file.readUInt32LE(at + 4),
      offset: readNumber(file, at + 8),
      address: readNumber(file, at + 16),
      fileBytes: readNumber(file, at + 32),
      memoryBytes: readNumber(file, at + 40),
      align: readNumber(file, at + 48),
    };
  });
}

function writeSegments(file: Buffer, segments: readonly Segment[]): void {
  for (const [i, segment] of segments.entries()) {
    const at = HEADER_BYTES + i * SEGMENT_BYTES;
    file.writeUInt32LE(segment.type, at);
    file.writeUInt32LE(segment.flags, at + 4);
    const numbers = [segment.offset, segment.address, segment.address, segment.fileBytes, segment.memoryBytes];
    for (const [k, value] of [...numbers, segment.align].entries())
      file.writeBigUInt64LE(BigInt(value), at + 8 + 8 * k);
  }
  file.writeUInt16LE(segments.length, 56);
  // No table of sections: its place, the size of an entry, their number, and the one with the names.
  file.writeBigUInt64LE(0n, 40);
  for (const at of [58, 60, 62]) file.writeUInt16LE(0, at);
}

function findSegment(segments: readonly Segment[], type: number): Segment {
  const [found, another] = segments.filter((segment) => segment.type === type);
  if (found === undefined || another !== undefined)
    throw new Error(`Cannot use this executable: it should have one segment of type ${type}`);
  return found;
}

/** Source: elf(5), "Notes": lengths of name and content, a type, and both, each filled up to four bytes. */
function makeNote(content: Uint8Array): Buffer {
  const name = Buffer.from(`${NOTE_NAME}\0`);
  const nameBytes = roundUp(name.byteLength, 4);
  const note = Buffer.alloc(12 + nameBytes + roundUp(content.byteLength, 4));
  note.writeUInt32LE(name.byteLength, 0);
  note.writeUInt32LE(content.byteLength, 4);
  note.set(name, 12);
  note.set(content, 12 + nameBytes);
  return note;
}

function setFuse(file: Buffer): void {
  const at = file.indexOf(`${FUSE}0`);
  if (at < 0 || file.indexOf(FUSE, at + 1) >= 0)
    throw new Error('Cannot use this executable: it is no Node that can carry a program');
  file.write('1', at + FUSE.length);
}

function contentOf(file: Buffer, { offset, fileBytes }: Segment): Buffer {
  return file.subarray(offset, offset + fileBytes);
}

function readNumber(file: Buffer, at: number): number {
  return Number(file.readBigUInt64LE(at));
}

function roundUp(value: number, step: number): number {
  return Math.ceil(value / step) * step;
}
