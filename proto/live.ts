import type { HostRow, LatestValue } from './api.ts';
import { isRecord } from './record.ts';
import { err, ok, type Result } from './result.ts';

export const LIVE_PATH = '/live';
/** The largest message that the collector takes on the live socket. */
export const LIVE_BYTES_MAX = 16 * 1024;
/** How many topics one socket may follow: a page needs one or two. */
export const TOPICS_MAX = 50;

/** `fleet` is every host's row; `host/<id>` is every value of one host. */
export type Topic = 'fleet' | `host/${string}`;

/** What a page asks. JSON text. Subscribing again to a topic asks for a new snapshot of it. */
export type LiveRequest = { readonly kind: 'subscribe' | 'unsubscribe'; readonly topic: Topic };

/**
 * What the collector sends. JSON text. Each topic counts its messages in `seq`; a snapshot says where the count
 * stands, each patch is one more. A page that misses one subscribes again. `nowMs` is the collector's clock, against
 * which ages are shown. A slow reader misses patches and gets a snapshot instead.
 */
export type LiveMessage =
  | {
      readonly kind: 'fleet-snapshot' | 'fleet-patch';
      readonly topic: 'fleet';
      readonly seq: number;
      readonly nowMs: number;
      /** Every host, or those that changed. */
      readonly rows: readonly HostRow[];
    }
  | {
      readonly kind: 'host-snapshot' | 'host-patch';
      readonly topic: `host/${string}`;
      readonly seq: number;
      readonly nowMs: number;
      readonly row: HostRow;
      /** The newest value of every series, or each value that is new, older ones first. */
      readonly values: readonly LatestValue[];
    }
  | {
      readonly kind: 'refused';
      readonly topic: string;
      readonly code: 'bad-request' | 'unknown-host' | 'too-many-topics';
      readonly message: string;
    };

/** Reads a page's request from text of any origin. */
export function readLiveRequest(text: string): Result<LiveRequest, string> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return err('the message is not JSON');
  }
  if (!isRecord(value)) return err('the message is not an object');
  const { kind, topic } = value;
  if (kind !== 'subscribe' && kind !== 'unsubscribe') return err('kind must be subscribe or unsubscribe');
  if (!isTopic(topic)) return err('topic must be fleet or host/<id>');
  return ok({ kind, topic });
}

function isTopic(value: unknown): value is Topic {
  return value === 'fleet' || (typeof value === 'string' && /^host\/[a-z0-9][a-z0-9.-]{0,127}$/.test(value));
}
