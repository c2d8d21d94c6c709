import { INFLATED_BYTES_MAX } from '@muster/proto/push';

/**
 * Requests of one host under way: each may hold a body of a mebibyte for as long as a request may take. An agent has
 * one or two; what it left behind when it was killed may be there for a while too.
 */
export const HOST_REQUESTS_MAX = 4;
/**
 * What a host may make us inflate and look through in vain in a second: one bomb, or a few bodies at the limit. An
 * agent sends nothing that is malformed, and sets aside what was once refused.
 */
export const VAIN_BYTES_MAX = INFLATED_BYTES_MAX;
const VAIN_MS = 1_000;

/** How much of one host is borne at a time. Without limits by host, one that is broken or taken over stops them all. */
export type Patience = {
  /** Why a host must wait, or null: then `end` has to be called. */
  readonly begin: (host: string) => string | null;
  /** `vainBytes` is what had to be looked at only to be refused. */
  readonly end: (host: string, vainBytes: number) => void;
};

export function makePatience(now: () => number): Patience {
  const underWay = new Map<string, number>();
  const vain = new Map<string, { readonly sinceMs: number; readonly bytes: number }>();

  /** What a host has sent in vain within the last second. */
  function readVain(host: string): { readonly sinceMs: number; readonly bytes: number } {
    const found = vain.get(host);
    const ageMs = now() - (found?.sinceMs ?? -Infinity);
    // Less than nothing: the clock was set back.
    if (found !== undefined && ageMs >= 0 && ageMs < VAIN_MS) return found;
    vain.delete(host);
    return { sinceMs: now(), bytes: 0 };
  }

  return {
    begin(host) {
      const requests = underWay.get(host) ?? 0;
      if (requests >= HOST_REQUESTS_MAX)
        return `This host has ${requests} requests under way; wait for their answers, then send again`;
      if (readVain(host).bytes >= VAIN_BYTES_MAX)
        return 'This host has sent too much that could not be taken; wait, then send something else';
      underWay.set(host, requests + 1);
      return null;
    },
    end(host, vainBytes) {
      const requests = (underWay.get(host) ?? 1) - 1;
      if (requests === 0) underWay.delete(host);
      else underWay.set(host, requests);
      if (vainBytes === 0) return;
      const { sinceMs, bytes } = readVain(host);
      vain.set(host, { sinceMs, bytes: bytes + vainBytes });
    },
  };
}
