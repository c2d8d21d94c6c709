import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { readNamedText, readText } from './read-text.ts';
import { makeRoot } from './testing/fixture.ts';

test('a pipe to which nobody writes is empty, and not waited for; where only a file will do it is none', () => {
  const pipe = join(makeRoot({}), 'pipe');
  execFileSync('mkfifo', [pipe]);
  expect(readText(pipe)).toBe('');
  expect(() => readNamedText(pipe, 10)).toThrow();
});

test.for([
  ['a', 'text'],
  ['long', null],
  ['.', null],
  ['/dev/zero', null],
] as const)('readNamedText(%s) of at most ten bytes is %j, or throws', ([name, text]) => {
  const root = makeRoot({ a: 'text', long: 'more than ten' });
  const path = name.startsWith('/') ? name : join(root, name);
  if (text === null) expect(() => readNamedText(path, 10)).toThrow(/Cannot read/);
  else expect(readNamedText(path, 10)).toBe(text);
  expect(readNamedText(join(root, 'none'), 10)).toBe(null);
});
