import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

import { afterEach, expect, test } from 'vitest';

import { writeIdentity } from './state.ts';
import { openStandIn } from './testing/collector.ts';
import { findSampleFault, makeRoot } from './testing/fixture.ts';
import { CERTIFICATES, openService, type Service } from './testing/services.ts';

const services: Pick<Service, 'close'>[] = [];
afterEach(async () => {
  for (const service of services.splice(0)) await service.close();
});

/** A configuration file that looks at a web server, at one whose certificate has expired, and at a port that is closed. */
async function configure(): Promise<string> {
  const say = (status: string) => (socket: NodeJS.ReadWriteStream) =>
    void socket.once('data', () => socket.end(`HTTP/1.1 ${status}\r\ncontent-length: 4\r\n\r\nwell`));
  const web = await openService(say('200 OK'), 'valid');
  const old = await openService(say('200 OK'), 'expired');
  const closed = await openService(() => undefined);
  await closed.close();
  services.push(web, old);
  const tls = `ca-file: ${CERTIFICATES}/authority.pem`;
  const text = `checks:
  - { name: web, http: "https://localhost:${web.port}/?key=hidden", body: well, every: 1s, ${tls}, headers: { X-Key: hidden } }
  - { name: old, http: "https://localhost:${old.port}/", every: 1s, ${tls} }
  - { name: closed, tcp: "127.0.0.1:${closed.port}", every: 1s, service: shop }
`;
  return join(makeRoot({ 'agent.yaml': text }), 'agent.yaml');
}

function start(argv: readonly string[]) {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'main.ts'), ...argv], {
    env: { PATH: process.env['PATH'] ?? '' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  return { child, output: () => output, exited: once(child, 'close') };
}

test('an agent sends what its checks find, in samples and events, and no secret', async () => {
  const collector = await openStandIn();
  services.push(collector);
  const state = makeRoot({});
  writeIdentity(state, { host: 'host-1', token: 'token-1' });
  const argv = ['--config', await configure(), '--url', collector.url, '--state', state, '--interval', '1s'];
  const agent = start(argv);
  const series = () =>
    new Set(collector.batches.flatMap((batch) => batch.series.map(([metric, labels]) => `${metric}{${labels}}`)));
  const subjects = () =>
    collector.batches.flatMap(({ events = [] }) =>
      events.flatMap((event) => ('subject' in event ? `${event.kind} ${event.subject}` : [])),
    );
  await collector.until(
    () =>
      subjects().length >= 2 &&
      ['web', 'old'].every((name) =>
        series().has(`muster.check.tls.expiry{check.kind=http,check.name=${name},service.name=${name}}`),
      ),
  );
  agent.child.kill('SIGTERM');
  expect(await agent.exited).toEqual([0, null]);
  expect(new Set(subjects())).toEqual(
    new Set(['check-down old: the certificate expired on 2021-01-01', 'check-down closed: the connection was refused']),
  );
  const ours = collector.batches.flatMap((batch) =>
    batch.series.flatMap(([metric, labels], row) =>
      metric.startsWith('muster.check.')
        ? [...batch.values.subarray(row * batch.ticksMs.length, (row + 1) * batch.ticksMs.length)]
            .filter((value) => !Number.isNaN(value))
            .map((value) => ({ metric, labels, value }))
        : [],
    ),
  );
  expect(ours.flatMap((sample) => findSampleFault(sample) ?? [])).toEqual([]);
  const last = (metric: string, name: string) =>
    ours.findLast((one) => one.metric === metric && one.labels.includes(`check.name=${name},`))?.value;
  expect(last('muster.check.up', 'web')).toBe(1);
  expect(last('muster.check.up', 'old')).toBe(0);
  expect(last('muster.check.tls.expiry', 'old')).toBeLessThan(0);
  expect(last('muster.check.http.status_code', 'web')).toBe(200);
  expect([...series()].some((one) => one.includes('service.name=shop'))).toBe(true);
  expect(agent.output()).toContain('"event":"source.incomplete","source":"check","remark":"down: ');
  expect(agent.output() + [...series(), ...subjects()].join()).not.toContain('hidden');
});

test.for([
  ['sample', '--once', /muster\.check\.up\{check\.kind=http,check\.name=web,service\.name=web\} +100 %/],
  [
    'doctor',
    '--state=/nonexistent',
    /web \(http https:\/\/localhost:\d+\/\): up, in \d+ ms; the certificate is good until 2110-01-01/,
  ],
] as const)('muster-agent %s shows what each check finds, and no secret', async ([command, flag, expected]) => {
  const run = start([command, flag, '--config', await configure(), '--url', 'http://127.0.0.1:1']);
  await run.exited;
  expect(run.output()).toMatch(expected);
  expect(run.output()).toContain('old (the certificate expired on 2021-01-01); closed (the connection was refused)');
  expect(run.output()).not.toContain('hidden');
});
