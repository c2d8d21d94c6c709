import { Pool } from 'undici';
import { expect, test } from 'vitest';

import { post } from './post.ts';
import { openStandIn } from './testing/collector.ts';

test('post() by https to a server that speaks http says what the matter is', async () => {
  const collector = await openStandIn();
  const pool = new Pool(collector.url.replace('http:', 'https:'));
  const { signal } = new AbortController();
  const answer = await post(pool, { path: '/', headers: {}, body: '', deadlineMs: 10_000, signal });
  expect(answer).toEqual({
    kind: 'unreachable',
    reason: expect.stringMatching(/does not speak TLS.*--url wants http/),
  });
  await pool.destroy();
  await collector.close();
});
