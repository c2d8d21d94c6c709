import { ok } from '@muster/proto/result';
import { expect, test } from 'vitest';

import type { ReadResult, Source } from '../source.ts';
import { surveySources } from './survey.ts';

const READING: ReadResult = ok({ samples: [{ metric: 'system.uptime', labels: '', value: 1 }] });

test('a source is waited for as long as it says, and not read again while it is read', async () => {
  let reads = 0;
  const slow: Source = { name: 'slow', answerMsMax: 50, read: () => ((reads += 1), new Promise(() => {})) };
  const [surveyed] = await surveySources([slow]);
  expect(surveyed?.reading).toEqual({ ok: false, error: 'it does not answer within 0.05 s' });
  expect(reads).toBe(1);
});

test('what a source answers late is what it had to say', async () => {
  const { promise: answer, resolve } = Promise.withResolvers<ReadResult>();
  const reads = { late: 0, before: 0 };
  const late: Source = { name: 'late', answerMsMax: 50, read: () => ((reads.late += 1), answer) };
  const before: Source = {
    name: 'before',
    read: () => {
      reads.before += 1;
      if (reads.before === 2) setImmediate(resolve, READING); // when the other is waited for again
      return ok({ samples: [] });
    },
  };
  const surveyed = await surveySources([before, late]);
  expect(surveyed.map(({ reading }) => reading)).toEqual([ok({ samples: [] }), READING]);
  expect(reads).toEqual({ late: 1, before: 2 });
});

test('a source that throws has failed, and others are read', async () => {
  const broken: Source = {
    name: 'broken',
    read: () => {
      throw new Error('Cannot read it');
    },
  };
  const surveyed = await surveySources([broken, { name: 'well', read: () => READING }]);
  expect(surveyed.map(({ reading }) => reading)).toEqual([{ ok: false, error: 'Cannot read it' }, READING]);
});
