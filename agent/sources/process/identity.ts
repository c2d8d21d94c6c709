import { formatLabels } from '@muster/proto/labels';

import { toPlainText } from '../../plain-text.ts';
import { NOWHERE, type Place } from './cgroup.ts';

/** What is known of a process, of which many are alike. */
export type Known = {
  readonly name: string;
  readonly isKernel: boolean;
  readonly uid: number;
  readonly place: Place;
  /** Null unless they are asked for. */
  readonly commandLine: string | null;
};

/** Long enough to tell two programs of one interpreter apart. */
const COMMAND_LENGTH_MAX = 200;
/** The kernel keeps 63 bytes of a name at most, and login names are shorter. */
const NAME_LENGTH_MAX = 64;
/** With these three the labels are never longer than they may be, even if every character needs a backslash. */
const PLACE_LENGTH_MAX = 128;

/**
 * The labels of the group that a process belongs to: its name, its owner, and its container or else its unit. Neither
 * pid nor start: a series lives on when the process is started anew, and can be compared with itself a week ago.
 */
export function labelsOf({ name, isKernel, uid, place, commandLine }: Known, nameOf: (uid: number) => string): string {
  const { container, unit } = isKernel ? NOWHERE : place;
  return formatLabels({
    'process.executable.name': isKernel ? nameKernelThread(name) : clean(name, NAME_LENGTH_MAX),
    // The users of a container are not those of the host, whose names would be wrong there.
    'process.owner': container === null || uid === 0 ? clean(nameOf(uid), NAME_LENGTH_MAX) : String(uid),
    ...(container === null ? {} : { 'container.id': clean(container, PLACE_LENGTH_MAX) }),
    ...(unit === null ? {} : { 'systemd.unit.name': clean(unit, PLACE_LENGTH_MAX) }),
    ...(commandLine === null ? {} : { 'process.command_line': clean(commandLine, COMMAND_LENGTH_MAX) }),
  });
}

/**
 * Kernel threads bear numbers of cores, workers and devices behind a slash, and what they do at the moment behind that:
 * kworker/u8:2-ext4-rsv-conversion, ksoftirqd/0, jbd2/vda1-8.
 */
export function nameKernelThread(name: string): string {
  const slash = name.indexOf('/');
  return slash > 0 ? `${clean(name.slice(0, slash), NAME_LENGTH_MAX)}/*` : clean(name, NAME_LENGTH_MAX);
}

/** Any name may hold what terminals take for a command, or what turns a line round. Never empty. */
function clean(text: string, lengthMax: number): string {
  return toPlainText(text, lengthMax) || '?';
}
