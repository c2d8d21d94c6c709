import { isRecord } from './record.ts';

/** Where an agent speaks to its collector, and what the two agree on besides the batch itself. */
export const INGEST_PATH = '/api/v1/ingest';
export const ENROLL_PATH = '/api/v1/enroll';
export const BATCH_CONTENT_TYPE = 'application/x-msgpack';

/** The largest body of a push as it travels, compressed. */
export const BODY_BYTES_MAX = 1024 * 1024;
/** The largest body after inflating: half a million samples. */
export const INFLATED_BYTES_MAX = 4 * 1024 * 1024;

/** How often an agent samples while nobody watches its host, and how often it pushes. */
export const SAMPLE_MS_DEFAULT = 5_000;
/** How often an agent samples, and pushes each tick at once, while somebody watches its host. */
export const WATCHED_MS = 1_000;

/**
 * The answer to a batch that is in the store: `ack` is its `seq`. `everyMs` asks for that sampling interval, each tick
 * pushed at once, until a later answer comes without it. `kept`: the next batch may be told beside this one (basis.ts).
 * `nowMs` is the collector's clock as it answers, and `heldMs` how long the request has been there by then: the rest of
 * the time that it took, it was on its way.
 */
export type Ack = {
  readonly ack: number;
  readonly everyMs?: number;
  readonly kept?: true;
  readonly nowMs?: number;
  readonly heldMs?: number;
};

/** The `code` of the answer to a batch that is wanted in full; its status is 409. */
export const UNKNOWN_BASIS = 'unknown-basis';

/** Every answer of 400 and above carries this. `code` is for programs, `message` says what to do. */
export type Refusal = { readonly error: { readonly code: string; readonly message: string } };

/**
 * A host asks to join the fleet: `name` is shown to people and gives the host its id; `machine` is a hash of the
 * machine's own id, by which a re-installed host finds its history again.
 */
export type EnrollRequest = { readonly token: string; readonly name: string; readonly machine: string };

/** `host` is the id under which the host's samples are stored, fixed from now on; `token` authorises its pushes. */
export type EnrollReply = { readonly host: string; readonly token: string };

export function readAck(value: unknown): Ack | null {
  if (!isRecord(value) || typeof value['ack'] !== 'number') return null;
  const { ack, everyMs, kept, nowMs, heldMs } = value;
  return {
    ack,
    ...(typeof everyMs === 'number' && everyMs > 0 ? { everyMs } : {}),
    ...(kept === true ? { kept } : {}),
    ...(typeof nowMs === 'number' && typeof heldMs === 'number' && heldMs >= 0 ? { nowMs, heldMs } : {}),
  };
}

export function readEnrollReply(value: unknown): EnrollReply | null {
  if (!isRecord(value) || typeof value['host'] !== 'string' || typeof value['token'] !== 'string') return null;
  return { host: value['host'], token: value['token'] };
}
