import { generateKeyPairSync } from 'node:crypto';

import { expect, test } from 'vitest';

import { clampEvery, parseConfig, parseInterval, parseUpdatePlace } from './config.ts';

function parse(argv: readonly string[], env: Readonly<Record<string, string>> = {}) {
  return parseConfig(
    { argv: ['--config', 'none', ...argv], env, readFile: () => 'from-a-file\n', listFiles: () => [] },
    'the-host',
  );
}

test('parseConfig() has a default for everything but the token', () => {
  expect(parse([])).toEqual({
    ok: true,
    value: {
      url: 'http://127.0.0.1:7430',
      token: { ok: false, error: 'there is no enrolment token: set MUSTER_TOKEN or MUSTER_TOKEN_FILE' },
      stateDirectory: '/var/lib/muster-agent',
      everyMs: 5_000,
      name: 'the-host',
      root: '/',
      update: null,
      labels: {},
      sources: {},
      checks: [],
    },
  });
});

test('a flag is stronger than the environment, and a secret may be in a file', () => {
  const config = parse(['--interval', '1s', '--name=<b>x</b>'], {
    MUSTER_INTERVAL: '1m',
    MUSTER_TOKEN_FILE: '/secret',
    MUSTER_URL: 'https://muster.example',
  });
  expect(config).toMatchObject({
    ok: true,
    value: {
      everyMs: 1_000,
      name: '<b>x</b>',
      token: { ok: true, value: 'from-a-file' },
      url: 'https://muster.example',
    },
  });
});

test('white space around a token is none of it', () => {
  expect(parse([], { MUSTER_TOKEN: ' pasted\n' })).toMatchObject({ value: { token: { value: 'pasted' } } });
});

test('parseConfig() reports all faults at once', () => {
  for (const url of ['muster', 'http://muster.example']) {
    const config = parse(['--interval', '5', '--url', url, '--verbose', '--name', 'x'.repeat(256)]);
    expect(config.ok ? [] : config.error.map((fault) => fault.split(' ')[0])).toEqual([
      '--verbose',
      '--url',
      '--name',
      '--interval',
    ]);
  }
});

test('a token file that cannot be read is no fault of the configuration: the agent may be enrolled', () => {
  const readFile = () => {
    throw new Error('ENOENT');
  };
  const argv = ['--config', 'none'];
  const config = parseConfig({ argv, env: { MUSTER_TOKEN_FILE: '/gone' }, readFile, listFiles: () => [] }, 'the-host');
  const error = 'the file of the enrolment token cannot be read: ENOENT';
  expect(config.ok && config.value.token).toEqual({ ok: false, error });
});

test.for([
  // url, further flags, accepted
  ['http://127.0.0.1:7430', [], true],
  ['http://localhost:7430/', [], true],
  ['http://[::1]:7430', [], true],
  ['https://muster.example:7430', [], true],
  ['http://muster.example:7430', [], false],
  ['http://127.0.0.1.example', [], false],
  ['http://muster.example:7430', ['--insecure-http'], true],
  ['ftp://muster.example', [], false],
  ['https://user:password@muster.example', [], false],
  ['https://muster.example/path', [], false],
  ['https://muster.example/?query', [], false],
] as const)('--url %s %o is accepted: %s', ([url, flags, accepted]) => {
  expect(parse(['--url', url, ...flags]).ok).toBe(accepted);
});

test.for([
  ['1s', 1_000],
  ['5s', 5_000],
  ['1500ms', 1_500],
  ['1m', 60_000],
  ['500ms', null],
  ['2m', null],
  ['5', null],
  ['', null],
  ['1.5s', null],
] as const)('parseInterval(%o) is %o', ([text, everyMs]) => {
  const parsed = parseInterval(text);
  expect(parsed.ok ? parsed.value : null).toBe(everyMs);
});

test.for([
  [0.001, 1_000],
  [1_000, 1_000],
  [1e9, 60_000],
] as const)('clampEvery(%d) is %i', ([everyMs, expected]) => {
  expect(clampEvery(everyMs)).toBe(expected);
});

test('a version that was fetched is started whatever else the configuration says', () => {
  const key = makeUpdateKey();
  const yaml = `state: /s\nupdate-key: ${key}\nsources: { newer: { than: this } }\nalso-newer: true\n`;
  const input = { argv: ['--config', '/agent.yaml', '--newest'], env: {}, readFile: () => yaml, listFiles: () => [] };
  expect(parseConfig(input, 'h').ok).toBe(false);
  expect(parseUpdatePlace(input, 'h')).toMatchObject({ stateDirectory: '/s', key: { asymmetricKeyType: 'ed25519' } });
  expect(parseUpdatePlace({ ...input, readFile: () => 'state: /s\n' }, 'h')).toBe(null);
});

/** As `build-agent --make-key` prints it: the 32 bytes of an Ed25519 public key. */
function makeUpdateKey(): string {
  const { x = '' } = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' });
  return Buffer.from(x, 'base64url').toString('base64');
}
