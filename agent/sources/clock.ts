import { ok } from '@muster/proto/result';

import type { Source } from '../source.ts';

/** How far this host's clock is ahead of the collector's, and by how much that may be wrong, in seconds. */
export type ClockOffset = { readonly offsetSeconds: number; readonly errorSeconds: number };

/** The clock of this host, beside that of the collector. Nothing while no batch has been acknowledged. */
export function makeClockSource(readOffset: () => ClockOffset | null): Source {
  return {
    name: 'clock',
    read: () => {
      const offset = readOffset();
      if (offset === null) return ok({ samples: [] });
      return ok({
        samples: [
          { metric: 'system.clock.offset', labels: '', value: offset.offsetSeconds },
          { metric: 'system.clock.offset.error', labels: '', value: offset.errorSeconds },
        ],
      });
    },
  };
}
