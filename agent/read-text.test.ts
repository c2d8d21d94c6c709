import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { readNamedText, readText } from './read-text.ts';
import { makeRoot } from './testing/fixture.ts';

test('a pipe to which nobody writes is empty, and not waited for; where only a file will do it is none', () => {
  const pipe = join(makeRoot({}), 'pipe');
  execFileSync('mkfifo', [pipe]);
  expect(readText(pipe)).toBe('');
  expect(() => readNamedText(pipe, 10)).toThrow(`Cannot read ${pipe}`);
});

test('readNamedText() gives a file of the length that it may have, null where there is none, and throws at all else', () => {
  const root = makeRoot({ a: 'text', long: 'more than ten' });
  expect(readNamedText(join(root, 'a'), 10)).toBe('text');
  expect(readNamedText(join(root, 'none'), 10)).toBe(null);
  for (const path of [join(root, 'long'), root, '/dev/zero'])
    expect(() => readNamedText(path, 10)).toThrow(`Cannot read ${path}`);
});
