import fc from 'fast-check';
import { expect, test } from 'vitest';

import { makePool } from './pool.ts';

const lists = fc.array(fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.constantFrom('', 'x=1', 'é=2'))));

test('equal texts are held once, for as long as somebody holds them', () => {
  fc.assert(
    fc.property(lists, (all) => {
      const pool = makePool();
      const taken = all.map((list) => pool.take(list));
      expect(taken).toEqual(all);
      const held = new Set(taken.flat());
      expect(held.size).toBe(new Set(all.flat().map((texts) => texts.join(' '))).size);
      const once = makePool();
      once.take([...held]);
      expect(pool.heldBytes()).toBe(once.heldBytes());
      for (const list of taken) pool.giveBack(list);
      expect(pool.heldBytes()).toBe(0);
    }),
  );
});
