import type { LiveMessage, LiveRequest, Topic } from '@muster/proto/live';

import { stepTopic, type TopicSeq } from './live-topic.ts';

export type LiveHandler = (message: LiveMessage) => void;

export type LiveTopics = {
  /**
   * Gives every snapshot and patch of a topic to `handler`, in order and without a hole: after one, a new snapshot
   * comes first. One handler per topic. Returns what ends it.
   */
  readonly follow: (topic: Topic, handler: LiveHandler) => () => void;
  /** Asks for all topics anew, on a new connection or to find out whether the old one still stands. */
  readonly subscribeAll: () => void;
  /** Takes a message of the connection. */
  readonly take: (message: LiveMessage) => void;
};

type Following = { readonly topic: Topic; readonly handler: LiveHandler; seq: TopicSeq };

/** What the page follows on its connection. `send` may be deaf: whatever it loses is asked again when it hears. */
export function makeLiveTopics(send: (request: LiveRequest) => void): LiveTopics {
  const following = new Map<string, Following>();
  const subscribe = (entry: Following): void => {
    entry.seq = null;
    send({ kind: 'subscribe', topic: entry.topic });
  };
  return {
    follow: (topic, handler) => {
      const entry: Following = { topic, handler, seq: null };
      following.set(topic, entry);
      subscribe(entry);
      return () => {
        // A page that opens before the other has closed may have taken the topic over.
        if (following.get(topic) !== entry) return;
        following.delete(topic);
        send({ kind: 'unsubscribe', topic });
      };
    },
    subscribeAll: () => {
      for (const entry of following.values()) subscribe(entry);
    },
    take: (message) => {
      const entry = following.get(message.topic);
      if (entry === undefined) return;
      if (message.kind === 'refused') {
        entry.handler(message);
        return;
      }
      const step = stepTopic(entry.seq, message);
      entry.seq = step.seq;
      if (step.act === 'apply') entry.handler(message);
      if (step.act === 'resubscribe') subscribe(entry);
    },
  };
}
