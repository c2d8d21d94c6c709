import type { LiveMessage } from '@muster/proto/live';
import { isRecord } from '@muster/proto/record';

import { parseJson } from './parse-json.ts';

/** Where a topic's count stands; null while its snapshot has not come. */
export type TopicSeq = number | null;

/** `resubscribe`: a message was missed, and only a new snapshot can tell what. */
export type TopicStep = { readonly seq: TopicSeq; readonly act: 'apply' | 'skip' | 'resubscribe' };

export type TopicMessage = Exclude<LiveMessage, { kind: 'refused' }>;

/** Decides what one message of a topic means for a page that stands at `seq`. */
export function stepTopic(seq: TopicSeq, message: Pick<TopicMessage, 'kind' | 'seq'>): TopicStep {
  if (message.kind === 'fleet-snapshot' || message.kind === 'host-snapshot') return { seq: message.seq, act: 'apply' };
  // A patch that is older than what stands here was overtaken by a snapshot.
  if (seq === null || message.seq <= seq) return { seq, act: 'skip' };
  return message.seq === seq + 1 ? { seq: message.seq, act: 'apply' } : { seq: null, act: 'resubscribe' };
}

const KINDS: ReadonlySet<unknown> = new Set(['fleet-snapshot', 'fleet-patch', 'host-snapshot', 'host-patch']);

/**
 * Reads a message of the live socket; null for what this page does not know, which a newer collector may well send.
 * The frame is checked; rows and values are taken as written, because they come from the collector that serves the page.
 */
export function readLiveMessage(text: string): LiveMessage | null {
  const message = parseJson(text);
  if (!isRecord(message) || typeof message['topic'] !== 'string') return null;
  if (message['kind'] === 'refused') return typeof message['message'] === 'string' ? (message as LiveMessage) : null;
  if (!KINDS.has(message['kind'])) return null;
  if (typeof message['seq'] !== 'number' || typeof message['nowMs'] !== 'number') return null;
  const body = message['topic'] === 'fleet' ? message['rows'] : message['values'];
  return Array.isArray(body) ? (message as LiveMessage) : null;
}
