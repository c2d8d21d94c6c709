export type LogLevel = 'INFO' | 'WARN' | 'ERROR';
export type LogFields = Readonly<Record<string, unknown>>;

/**
 * Writes events. ERROR: data was lost or someone must act. WARN: it went wrong and recovered. INFO: a state changed.
 * Never once per sample.
 */
export type Log = Readonly<Record<'info' | 'warn' | 'error', (event: string, fields?: LogFields) => void>>;

/** A log that writes one JSON line per event, `{"at":…,"level":…,"event":…,…fields}`; an Error becomes its messages. */
export function makeLog(write: (line: string) => void, now: () => number): Log {
  const writeEvent = (level: LogLevel) => (event: string, fields?: LogFields) => {
    const line = { at: new Date(now()).toISOString(), level, event, ...fields };
    write(
      `${JSON.stringify(line, (_key, value: unknown) => (value instanceof Error ? describeError(value) : value))}\n`,
    );
  };
  return { info: writeEvent('INFO'), warn: writeEvent('WARN'), error: writeEvent('ERROR') };
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
