import { expect, test } from 'vitest';

import { describeError, makeLog } from './log.ts';

test('makeLog() writes one line of JSON per event, whatever the text', () => {
  const lines: string[] = [];
  const log = makeLog(
    (line) => void lines.push(line),
    () => 0,
  );
  log.info('host.enrolled', { name: 'a\n"b"\u001B[31m\u202E\u009B\u{E0001}' });
  log.error('ingest.failed', { error: new Error('no\nspace', { cause: new Error('disk full') }) });
  expect(lines).toEqual([
    '{"at":"1970-01-01T00:00:00.000Z","level":"INFO","event":"host.enrolled","name":"a\\n\\"b\\"\\u001b[31m\\u202e\\u009b\\udb40\\udc01"}\n',
    '{"at":"1970-01-01T00:00:00.000Z","level":"ERROR","event":"ingest.failed","error":"no space: disk full"}\n',
  ]);
});

test.for([
  [new Error('a'), 'a'],
  [new Error('a', { cause: new Error('b', { cause: 'c' }) }), 'a: b: c'],
  ['text', 'text'],
  [undefined, ''],
] as const)('describeError(%o) is "%s"', ([error, text]) => {
  expect(describeError(error)).toBe(text);
});
