import { expect, test } from 'vitest';

import { closeAll } from './close-all.ts';

test('closeAll() closes all in reverse, also after one that fails, and throws what failed first', async () => {
  const closed: string[] = [];
  const parts = ['a', 'b', 'c', 'd'].map((name) => ({
    name,
    close: () => {
      closed.push(name);
      if (name === 'b' || name === 'c') throw new Error('gone');
    },
  }));
  await expect(closeAll(parts)).rejects.toThrow('Cannot close the c');
  expect(closed).toEqual(['d', 'c', 'b', 'a']);
});
