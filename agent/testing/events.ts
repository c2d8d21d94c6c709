import { makeLog, type Log } from '@muster/proto/log';

/** A log, and what was written to it: the name of each event, with its level. */
export function makeEvents(): { readonly log: Log; readonly names: () => string[]; readonly text: () => string } {
  const lines: string[] = [];
  const log = makeLog((line) => lines.push(line), Date.now);
  return {
    log,
    names: () =>
      lines.map((line) => {
        const { level, event }: { level: string; event: string } = JSON.parse(line);
        return `${level} ${event}`;
      }),
    text: () => lines.join(''),
  };
}
