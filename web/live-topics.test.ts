import type { LiveMessage, LiveRequest } from '@muster/proto/live';
import { expect, test } from 'vitest';

import { makeLiveTopics } from './live-topics.ts';

const fleet = (kind: 'fleet-snapshot' | 'fleet-patch', seq: number): LiveMessage => ({
  kind,
  topic: 'fleet',
  seq,
  nowMs: 0,
  rows: [],
});

function followFleet() {
  const sent: LiveRequest[] = [];
  const applied: number[] = [];
  const topics = makeLiveTopics((request) => sent.push(request));
  const unfollow = topics.follow('fleet', (message) => applied.push(message.kind === 'refused' ? -1 : message.seq));
  return { sent, applied, topics, unfollow };
}

test('makeLiveTopics() asks for a snapshot when a patch is missing, and passes on nothing until it comes', () => {
  const { sent, applied, topics } = followFleet();
  for (const message of [
    fleet('fleet-snapshot', 4),
    fleet('fleet-patch', 5),
    fleet('fleet-patch', 7),
    fleet('fleet-patch', 8),
    fleet('fleet-snapshot', 8),
    fleet('fleet-patch', 9),
  ])
    topics.take(message);
  expect(applied).toEqual([4, 5, 8, 9]);
  expect(sent).toEqual([
    { kind: 'subscribe', topic: 'fleet' },
    { kind: 'subscribe', topic: 'fleet' },
  ]);
});

test('makeLiveTopics() asks for everything again on a new connection', () => {
  const { sent, applied, topics } = followFleet();
  topics.take(fleet('fleet-snapshot', 4));
  topics.subscribeAll();
  topics.take(fleet('fleet-patch', 5));
  expect(sent).toHaveLength(2);
  expect(applied).toEqual([4]);
});

test('makeLiveTopics() passes on a refusal, and nothing of a topic that ended', () => {
  const { sent, applied, topics, unfollow } = followFleet();
  topics.take({ kind: 'refused', topic: 'fleet', code: 'bad-request', message: 'no' });
  unfollow();
  topics.take(fleet('fleet-snapshot', 4));
  expect(applied).toEqual([-1]);
  expect(sent.at(-1)).toEqual({ kind: 'unsubscribe', topic: 'fleet' });
});

test('makeLiveTopics() keeps a topic that another page has taken over', () => {
  const { sent, topics, unfollow } = followFleet();
  topics.follow('fleet', () => undefined);
  unfollow();
  expect(sent.map(({ kind }) => kind)).toEqual(['subscribe', 'subscribe']);
});
