import { join } from 'node:path';

import { expect, test } from 'vitest';

import { openHttpClient } from './http-client.ts';
import { post } from './post.ts';
import { openStandIn } from './testing/collector.ts';
import { CERTIFICATES, openService } from './testing/services.ts';

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

test('post() by https trusts whom the system trusts, and says what to do where nobody it trusts vouches', async () => {
  const answer = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}';
  const service = await openService((socket) => void socket.once('data', () => socket.end(answer)), 'valid');
  const ask = async () => {
    const client = openHttpClient({ url: `https://localhost:${service.port}` }, { keepMs: 70_000, connections: 2 });
    const { signal } = new AbortController();
    const found = await post(client, { path: '/', headers: {}, body: '', deadlineMs: 10_000, signal });
    client.close();
    return found.kind === 'answered' ? String(found.status) : found.reason;
  };
  expect(await ask()).toMatch(/the agent trusts whom this system trusts: .*update-ca-certificates/);
  process.env['SSL_CERT_FILE'] = join(CERTIFICATES, 'authority.pem');
  try {
    expect(await ask()).toBe('200');
    process.env['SSL_CERT_FILE'] = '/no/such.pem';
    expect(await ask()).toBe('the trusted certificates cannot be used: there is no /no/such.pem');
  } finally {
    delete process.env['SSL_CERT_FILE'];
  }
  await service.close();
});
