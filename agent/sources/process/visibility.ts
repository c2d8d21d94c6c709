import { readlinkSync } from 'node:fs';
import { join } from 'node:path';

import { tryText } from '../../read-text.ts';
import type { Finding } from '../../source.ts';

/** The number of the namespace that the machine starts with. Source: include/linux/proc_ns.h, PROC_PID_INIT_INO. */
const FIRST_NAMESPACE = 'pid:[4026531836]';

/** Why not all processes of the host are seen, as far as can be told; null when they are. */
export function findBlindness(root: string): Finding | null {
  if (isKernelThreadSeen(root)) return null;
  if (readNamespace(root) !== FIRST_NAMESPACE) {
    return {
      what: 'only the processes of this container are seen',
      next: 'run it with the pid namespace of the host (docker run --pid=host, hostPID: true)',
    };
  }
  const isMounted = /[ ,]hidepid=(?!0\b|off)/.test(tryText(join(root, 'proc/self/mountinfo')) ?? '');
  return {
    what: 'the processes of others are hidden from the agent',
    next: isMounted
      ? 'proc is mounted with hidepid: add gid=GROUP to its options, and SupplementaryGroups=GROUP to the service'
      : 'the service has ProtectProc or ProcSubset: set ProtectProc=default and ProcSubset=all in a drop-in',
  };
}

/** Some are closed to everybody; when more than this part is, it is for want of a right. */
const DENIED_RATIO_MAX = 0.1;

/** What cannot be seen of processes that are. */
export function findDiskBlindness(disksDenied: number, processes: number): Finding | null {
  if (disksDenied <= processes * DENIED_RATIO_MAX) return null;
  return {
    what: `the disk I/O of ${disksDenied} of ${processes} processes may not be read`,
    next: 'the drop-in process-io.conf of the service allows it (CAP_SYS_PTRACE)',
  };
}

/** Number 2 is the parent of all kernel threads, in the first namespace only, and belongs to root. */
function isKernelThreadSeen(root: string): boolean {
  return (tryText(join(root, 'proc/2/stat')) ?? '').startsWith('2 (kthreadd) ');
}

function readNamespace(root: string): string {
  try {
    return readlinkSync(join(root, 'proc/self/ns/pid'));
  } catch {
    return '';
  }
}
