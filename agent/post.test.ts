import { expect, test } from 'vitest';

import { openHttpClient } from './http-client.ts';
import { post } from './post.ts';
import { openStandIn } from './testing/collector.ts';

test('post() by https to a server that speaks http says what the matter is', async () => {
  const collector = await openStandIn();
  const client = openHttpClient({ url: collector.url.replace('http:', 'https:') }, { keepMs: 70_000, connections: 2 });
  const { signal } = new AbortController();
  const answer = await post(client, { path: '/', headers: {}, body: '', deadlineMs: 10_000, signal });
  expect(answer).toEqual({
    kind: 'unreachable',
    reason: expect.stringMatching(/does not speak TLS.*--url wants http/),
  });
  client.close();
  await collector.close();
});
