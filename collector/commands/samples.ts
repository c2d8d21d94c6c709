import type { DropReply } from '@muster/proto/api';
import { parseOptions, type Option } from '@muster/proto/options';
import { err, ok, type Result } from '@muster/proto/result';

import { TARGET, type Command } from './command.ts';

const DROP = {
  before: {
    placeholder: 'DATE',
    help: 'the first day that stays, such as 2026-10-01 (UTC); yesterday at the latest',
    default: null,
    parse: parseDay,
  } satisfies Option<number | null>,
  ...TARGET,
};

export const SAMPLES_COMMAND: Command = {
  usage: `muster-collector samples: makes room on a disk

  muster-collector samples drop --before DATE [options]   drop the samples of all days before it, for good

The means over five minutes stay, and so do the events. It asks the running collector, also one whose disk is full.`,
  options: DROP,
  parse(input) {
    const [verb = '', ...argv] = input.argv;
    if (verb !== 'drop')
      return err([`samples ${verb === '' ? 'needs a command' : `knows no ${verb}`}: drop; --help tells more`]);
    const options = parseOptions(DROP, { ...input, argv });
    if (!options.ok) return options;
    const { before, ...target } = options.value;
    if (before === null) return err(['Say which day is the first to stay: samples drop --before 2026-10-01']);
    const path = `/api/v1/samples?beforeMs=${before}`;
    return ok({ question: { method: 'DELETE', path, describe: formatDropped }, target });
  },
};

function formatDropped({ days, rows }: DropReply): string {
  const [first] = days;
  if (first === undefined) return 'Nothing was dropped: there are no samples of days before it.';
  const span = days.length === 1 ? first : `${days.length} days, ${first} to ${days.at(-1)}`;
  return `Dropped ${rows} ${rows === 1 ? 'sample' : 'samples'} of ${span}.`;
}

/** The start of a day in UTC, Unix milliseconds. */
export function parseDay(text: string): Result<number, string> {
  const dayMs = /^\d{4}-\d\d-\d\d$/.test(text) ? Date.parse(text) : NaN;
  const isDay = dayMs >= 0 && new Date(dayMs).toISOString().startsWith(text);
  return isDay ? ok(dayMs) : err('a day such as 2026-10-01');
}
