import fc from 'fast-check';
import { expect, test } from 'vitest';

import { makeNovelty } from './novelty.ts';

test('nothing that came before, or may have, is called new', () => {
  const ticks = fc.array(fc.nat({ max: 30 }), { maxLength: 4 });
  const host = fc.constantFrom('web-1', 'web-2');
  fc.assert(
    fc.property(fc.option(fc.nat({ max: 10 })), fc.array(fc.tuple(host, ticks)), (heardMs, batches) => {
      const isNew = makeNovelty(heardMs === null ? [] : [{ host: 'web-1', lastMs: heardMs, arrivedMs: 0 }]);
      const seen = new Map<string, number>(heardMs === null ? [] : [['web-1', heardMs]]);
      for (const [name, ticksMs] of batches) {
        const newest = seen.get(name);
        expect(isNew(name, ticksMs)).toBe(ticksMs.every((tickMs) => newest !== undefined && tickMs > newest));
        if (ticksMs.length > 0) seen.set(name, Math.max(newest ?? 0, ...ticksMs));
      }
    }),
  );
});
