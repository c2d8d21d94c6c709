export type LogLevel = 'INFO' | 'WARN' | 'ERROR';
export type LogFields = Readonly<Record<string, unknown>>;

/**
 * Writes events. ERROR: data was lost or someone must act. WARN: it went wrong and recovered. INFO: a state changed.
 * Never once per sample.
 */
export type Log = Readonly<Record<'info' | 'warn' | 'error', (event: string, fields?: LogFields) => void>>;

/** What moves the cursor of a terminal or turns its text round, and JSON leaves as it is. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** A log that writes one JSON line per event, `{"at":…,"level":…,"event":…,…fields}`; an Error becomes its messages. */
export function makeLog(write: (line: string) => void, now: () => number): Log {
  const writeEvent = (level: LogLevel) => (event: string, fields?: LogFields) => {
    const line = { at: new Date(now()).toISOString(), level, event, ...fields };
    const text = JSON.stringify(line, (_key, value: unknown) =>
      value instanceof Error ? describeError(value) : value,
    );
    write(`${text.replaceAll(UNSEEN, escapeText)}\n`);
  };
  return { info: writeEvent('INFO'), warn: writeEvent('WARN'), error: writeEvent('ERROR') };
}

function escapeText(text: string): string {
  return Array.from({ length: text.length }, (_, i) => `\\u${text.charCodeAt(i).toString(16).padStart(4, '0')}`).join(
    '',
  );
}

/** The messages of an error and of what caused it, outermost first, on one line. */
export function describeError(error: unknown): string {
  const messages: string[] = [];
  let cause = error;
  while (cause instanceof Error && messages.length < 5) {
    messages.push(cause.message);
    ({ cause } = cause);
  }
  if (typeof cause === 'string') messages.push(cause);
  return messages.join(': ').replaceAll(/\s*\n\s*/g, ' ');
}
