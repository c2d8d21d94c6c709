import { expect, test } from 'vitest';

import { makeGlobs } from './globs.ts';

test.for([
  [['a*.service'], 'ab.service', true],
  [['a*.service'], 'abXservice', false],
  [['a?'], 'a', false],
  [['x', 'y+(z'], 'y+(z', true],
  [['a|b'], 'a', false],
  [['web*'], 'web\n1', true],
  [['(a+)+$', '[a-z]*', '\\w'], 'aa', false],
  [[], '', false],
] as const)('makeGlobs(%o) of %s is %s', ([globs, name, isMatch]) => {
  expect(makeGlobs(globs)(name)).toBe(isMatch);
});
