/** What `/proc/PID/stat` says of a process. */
export type ProcessStat = {
  /** As the process calls itself, at most 15 bytes; of a kernel thread up to 63. Any bytes but 0 may be in it. */
  readonly name: string;
  /** One letter: R, S, D, … Source: proc_pid_stat(5). */
  readonly state: string;
  readonly isKernel: boolean;
  /** CPU time of all its threads since it began, those that have ended too; not of its children. */
  readonly cpuTicks: number;
  readonly threads: number;
  /** When it began, since the machine did. With the pid, it says which process this is: pids are used again. */
  readonly startTicks: number;
  readonly rssPages: number;
};

/** PF_KTHREAD. Source: include/linux/sched.h. */
const KERNEL_THREAD = 0x0020_0000;

const OPEN = 0x28;
const CLOSE = 0x29;
const SPACE = 0x20;
const ZERO = 0x30;

/** The columns, counted from the state, which is the third one in the document. Source: proc_pid_stat(5). */
const FLAGS = 6;
const UTIME = 11;
const STIME = 12;
const THREADS = 17;
const START = 19;
const RSS = 21;

/** Filled anew by every call: a thousand processes would leave a thousand arrays behind. */
const columns = new Float64Array(RSS + 1);

/**
 * Reads the first `length` bytes. Null when they are not whole.
 *
 * The name may hold spaces, brackets and line ends, so that the columns begin behind the last closing bracket.
 */
export function parseStat(bytes: Buffer, length: number): ProcessStat | null {
  const open = bytes.indexOf(OPEN);
  const close = bytes.lastIndexOf(CLOSE, length - 1);
  if (open < 0 || close <= open || close + 3 >= length || bytes[close + 1] !== SPACE) return null;
  const state = bytes[close + 2] ?? 0;
  if (bytes[close + 3] !== SPACE || !readColumns(bytes, close + 4, length)) return null;
  const column = (index: number) => columns[index] ?? NaN;
  return {
    name: bytes.toString('utf8', open + 1, close),
    state: String.fromCharCode(state),
    isKernel: (column(FLAGS) & KERNEL_THREAD) !== 0,
    cpuTicks: column(UTIME) + column(STIME),
    threads: column(THREADS),
    startTicks: column(START),
    rssPages: Math.max(0, column(RSS)), // of many threads the kernel adds up roughly, and may fall below 0
  };
}

/** False when a column is no number, or its end is not there. */
function readColumns(bytes: Buffer, start: number, length: number): boolean {
  let at = start;
  for (let column = 1; column <= RSS; column += 1) {
    const isNegative = bytes[at] === 0x2d;
    if (isNegative) at += 1;
    const first = at;
    let value = 0;
    for (; at < length; at += 1) {
      const digit = (bytes[at] ?? 0) - ZERO;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit;
    }
    if (at === first || at >= length || bytes[at] !== SPACE) return false;
    columns[column] = isNegative ? -value : value;
    at += 1;
  }
  return true;
}
