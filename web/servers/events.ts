import type { HostEventRow } from '@muster/proto/api';

import { formatCount } from '../format.ts';

/** What happened, in words: `Killed for want of memory: java (pid 4711)`. A kind that is not known here is its own word. */
export function describeEvent({ kind, subject, dropped }: HostEventRow): string {
  if (kind === 'gap') {
    const lost = dropped === undefined || dropped === 0 ? 'Samples' : `${formatCount(dropped)} samples`;
    return `${lost} lost${subject === undefined ? '' : `: ${subject}`}`;
  }
  const words = WORDS[kind] ?? `${kind.slice(0, 1).toUpperCase()}${kind.slice(1).replaceAll('-', ' ')}`;
  return subject === undefined ? words : `${words}: ${subject}`;
}

const WORDS: Readonly<Record<string, string>> = {
  boot: 'Machine started',
  shutdown: 'Agent stopped',
  'oom-kill': 'Killed for want of memory',
  'source-slowed': 'Costs too much, and is read less often',
  'source-off': 'Costs too much, and is not read any more',
  'series-dropped': 'More custom series than are taken',
};
