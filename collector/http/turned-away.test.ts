import { makeLog } from '@muster/proto/log';
import { expect, test } from 'vitest';

import { makeTurnedAway } from './turned-away.ts';

test('makeTurnedAway() tells of the first at once and of all others once a minute, for each reason', () => {
  let nowMs = 0;
  const lines: string[] = [];
  const log = makeLog((line) => void lines.push(line), Date.now);
  const note = makeTurnedAway(log, () => nowMs);
  for (let i = 0; i < 10; i += 1) note('too-slow', `10.0.0.${i}`);
  note('too-many', 'web-1');
  nowMs = 60_000;
  note('too-slow', '10.0.0.99');
  nowMs = -3_600_000;
  note('too-slow', '10.0.0.100');
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([
    { level: 'WARN', event: 'http.turned-away', reason: 'too-slow', from: '10.0.0.0', count: 1 },
    { reason: 'too-many', from: 'web-1', count: 1 },
    { reason: 'too-slow', from: '10.0.0.99', count: 10 },
    { reason: 'too-slow', from: '10.0.0.100', count: 1 },
  ]);
});
