import { expect, test } from 'vitest';

import { readLiveMessage, stepTopic } from './live-topic.ts';

test.for([
  // seq here, kind, seq of the message, next seq, act
  [null, 'fleet-snapshot', 7, 7, 'apply'],
  [9, 'host-snapshot', 3, 3, 'apply'],
  [null, 'fleet-patch', 8, null, 'skip'],
  [7, 'fleet-patch', 8, 8, 'apply'],
  [7, 'fleet-patch', 7, 7, 'skip'],
  [7, 'host-patch', 5, 7, 'skip'],
  [7, 'host-patch', 9, null, 'resubscribe'],
] as const)('stepTopic(%o, %s %i) stands at %o, does %s', ([seq, kind, messageSeq, nextSeq, act]) => {
  expect(stepTopic(seq, { kind, seq: messageSeq })).toEqual({ seq: nextSeq, act });
});

const patch = { kind: 'fleet-patch', topic: 'fleet', seq: 2, nowMs: 5, rows: [] };
const refused = { kind: 'refused', topic: 'host/x', code: 'unknown-host', message: 'there is no host x' };

test.for([[patch], [refused], [{ ...patch, kind: 'host-patch', topic: 'host/x', row: {}, values: [] }]])(
  'readLiveMessage() takes %o',
  ([message]) => expect(readLiveMessage(JSON.stringify(message))).toEqual(message),
);

test.for([
  ['{'],
  ['null'],
  ['[]'],
  [JSON.stringify({ ...patch, kind: 'fleet-replay' })],
  [JSON.stringify({ ...patch, seq: '2' })],
  [JSON.stringify({ ...patch, nowMs: undefined })],
  [JSON.stringify({ ...patch, rows: {} })],
  [JSON.stringify({ ...patch, topic: undefined })],
  [JSON.stringify({ ...refused, message: 1 })],
] as const)('readLiveMessage() passes over %s', ([text]) => expect(readLiveMessage(text)).toBeNull());
