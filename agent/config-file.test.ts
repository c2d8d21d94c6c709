import fc from 'fast-check';
import { expect, test } from 'vitest';

import { parseConfig } from './config.ts';
import { anyTextLike } from './testing/any-text.ts';

/** The configuration that these files make, with these flags and environment. */
function parse(
  files: Readonly<Record<string, string>>,
  argv: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
) {
  return parseConfig(
    {
      argv: ['--config', '/c/agent.yaml', ...argv],
      env,
      readFile: (path) => {
        const text = files[path];
        if (text === undefined) throw Object.assign(new Error('ENOENT'), { code: 'ENOENT' });
        return text;
      },
      listFiles: (directory) =>
        Object.keys(files).flatMap((path) =>
          path.startsWith(`${directory}/`) ? path.slice(directory.length + 1) : [],
        ),
    },
    'the-host',
  );
}

function faultsOf(files: Readonly<Record<string, string>>, argv: readonly string[] = []): readonly string[] {
  const config = parse(files, argv);
  return config.ok ? [] : config.error;
}

const WHOLE = `
url: https://muster.example
token-file: /c/token
name: web 1
interval: 10s
state: /s
labels: { region: eu, rack: 12 }
sources:
  cpu: false
  load: { every: 30s, cpu: 2% }
`;

test('a configuration file gives what flags give, and more', () => {
  expect(parse({ '/c/agent.yaml': WHOLE, '/c/token': 'secret\n' })).toEqual({
    ok: true,
    value: {
      url: 'https://muster.example',
      token: { ok: true, value: 'secret' },
      stateDirectory: '/s',
      everyMs: 10_000,
      name: 'web 1',
      root: '/',
      update: null,
      labels: { region: 'eu', rack: '12' },
      sources: { cpu: false, load: { every: 30_000, cpu: 0.02 } },
      checks: [],
    },
  });
});

test('flags are stronger than the environment, that than files, later files than earlier ones; maps are put together', () => {
  const files = {
    '/c/agent.yaml': WHOLE,
    '/c/agent.d/20-b.yaml': 'name: b\nlabels: { role: db }\nsources: { load: { every: 1m }, cpu: true, disks: {} }\n',
    '/c/agent.d/10-a.yml': 'name: a\ninterval: 20s\nurl: https://a.example\n',
    '/c/agent.d/.hidden.yaml': 'name: [\n',
    '/c/agent.d/30-c.yaml.bak': 'name: [\n',
    '/c/token': 'secret',
  };
  const config = parse(files, ['--interval', '3s', '--labels', 'role=web,env=prod'], {
    MUSTER_INTERVAL: '2s',
    MUSTER_URL: 'https://env.example',
  });
  expect(config).toMatchObject({
    value: {
      name: 'b',
      everyMs: 3_000,
      url: 'https://env.example',
      labels: { region: 'eu', rack: '12', role: 'web', env: 'prod' },
      sources: { load: { every: 60_000, cpu: 0.02 }, cpu: true, disks: {} },
    },
  });
});

test('all faults are said at once, each with its file and line', () => {
  const faults = faultsOf(
    {
      '/c/agent.yaml':
        'url: http://elsewhere.example\nlabels: { region: eu, Bad: x }\nsources:\n  cpu: 7\n  memory: { evry: 5s }\n  load:\n    every: 5\n    cpu: 200%\n  frob: true\nname: [1]\nverbose: true\n',
      '/c/agent.d/10.yaml': 'interval: 5\nname: x\nname: y\n',
      '/c/agent.d/20.yaml': '# only this\ninterval: 1ms\n',
    },
    ['--frob'],
  );
  expect(faults.map((fault) => fault.split(' ').slice(0, 4).join(' '))).toEqual([
    '/c/agent.yaml:10: name must be',
    '/c/agent.yaml:2: labels has a',
    '/c/agent.yaml:4: sources.cpu must be',
    '/c/agent.yaml:5: sources.memory has no',
    '/c/agent.yaml:7: sources.load.every must be',
    '/c/agent.yaml:8: sources.load.cpu must be',
    '/c/agent.yaml:9: sources has no',
    '/c/agent.yaml:11: the file has',
    '/c/agent.d/10.yaml:3: Map keys must',
    '--frob is not an',
    '/c/agent.yaml:1: url must be',
    '/c/agent.d/20.yaml:2: interval must be',
  ]);
});

test('of labels each that is wrong is said, and what is wrong with all of them', () => {
  const many = Array.from({ length: 33 }, (_, i) => `k${i}: v`).join(', ');
  const say = (text: string) => faultsOf({ '/c/agent.yaml': text });
  expect(say('labels: { env: prod, "bad key!": x, team: [a, b] }\n')).toEqual([
    '/c/agent.yaml:1: labels has a key that is no lower-case word: "bad key!"',
    expect.stringMatching(/^\/c\/agent.yaml:1: labels.team must be 1 to \d+ characters, was /),
  ]);
  expect(say('labels: prod\n')).toEqual(['/c/agent.yaml:1: labels must be a map, was "prod"']);
  expect(say(`labels: { ${many} }\n`)).toEqual([
    expect.stringMatching(/^\/c\/agent.yaml:1: labels holds 33, more than/),
  ]);
  expect(say('sources: [cpu]\n')).toEqual(['/c/agent.yaml:1: sources must be a map']);
});

test('what a flag would refuse is refused with the line of the file', () => {
  expect(faultsOf({ '/c/agent.yaml': '\n# my agent\ninterval: 5\nurl: http://elsewhere.example\n' })).toEqual([
    '/c/agent.yaml:4: url must be https for another machine (--insecure-http allows http all the same), was "http://elsewhere.example"',
    '/c/agent.yaml:3: interval must be a time from 1s to 1m, such as 1s, was "5"',
  ]);
});

test('a secret is not said, and what decides about others counts from a file, too', () => {
  const faults = faultsOf({ '/c/agent.yaml': 'token: [hidden]\n' });
  expect(faults.join()).not.toContain('hidden');
  expect(faults).toHaveLength(1);
  const config = parse({ '/c/agent.yaml': 'url: http://elsewhere.example\ninsecure-http: true\ntoken: x\n' });
  expect(config).toMatchObject({ ok: true, value: { url: 'http://elsewhere.example' } });
});

test.for([
  // a file, faults
  ['', 0],
  ['# nothing\n', 0],
  ['{}', 0],
  ['labels:\nsources:\nchecks:\n', 0],
  ['[]', 1],
  ['just words', 1],
  ['7', 1],
  ['url: *nobody\n', 1],
  ['a: &a [x, x]\nb: &b [*a, *a]\n', 2],
  ['\tname: x\n', 1],
  ['name: x\n---\nname: y\n', 1],
  ['__proto__: { name: x }\nconstructor: y\nsources: { cpu: { prototype: z } }\n', 3],
] as const)('a file of %o has %i faults', ([text, count]) => {
  expect(faultsOf({ '/c/agent.yaml': text })).toHaveLength(count);
});

test('numbers stay as they are written', () => {
  const text = 'name: 007\ntoken: 12345678901234567890\nlabels: { version: 1.10, rack: 0x1F, build: 1e3 }\n';
  expect(parse({ '/c/agent.yaml': text })).toMatchObject({
    ok: true,
    value: {
      name: '007',
      token: { ok: true, value: '12345678901234567890' },
      labels: { version: '1.10', rack: '0x1F', build: '1e3' },
    },
  });
});

test('a file that is too long is not read, and one with tags that nobody knows is refused', () => {
  const long = `name: x\n${'#'.repeat(256 * 1024)}`;
  expect(faultsOf({ '/c/agent.yaml': long })).toEqual([
    `/c/agent.yaml has ${long.length} characters, more than 262144: divide it among several`,
  ]);
  expect(faultsOf({ '/c/agent.yaml': 'interval: 5s\nname: !!js/function "x"\n' })).toEqual([
    expect.stringMatching(/^\/c\/agent\.yaml:2: Unresolved tag/),
  ]);
});

test.for([
  ['ENOENT', []],
  ['EACCES', ['/c/agent.d cannot be read: EACCES']],
  ['ENOTDIR', ['/c/agent.d cannot be read: ENOTDIR']],
] as const)('a directory of files that cannot be listed for %s: %o', ([code, faults]) => {
  const config = parseConfig(
    {
      argv: ['--config', '/c/agent.yaml'],
      env: {},
      readFile: () => 'name: x\n',
      listFiles: () => {
        throw Object.assign(new Error(code), { code });
      },
    },
    'h',
  );
  expect(config.ok ? [] : config.error).toEqual(faults);
});

test('a file that was named must be there; the default one need not', () => {
  expect(faultsOf({})).toEqual(['/c/agent.yaml cannot be read: there is no such file']);
  const none = { argv: [], env: {}, listFiles: () => [] };
  const missing = Object.assign(new Error('no'), { code: 'ENOENT' });
  const forbidden = Object.assign(new Error('EACCES: permission denied'), { code: 'EACCES' });
  const readAs = (cause: Error) =>
    parseConfig(
      {
        ...none,
        readFile: () => {
          throw cause;
        },
      },
      'h',
    );
  expect(readAs(missing).ok).toBe(true);
  expect(readAs(forbidden)).toEqual({
    ok: false,
    error: ['/etc/muster/agent.yaml cannot be read: EACCES: permission denied'],
  });
});

test('any text is taken or refused, with a line, and never throws', () => {
  fc.assert(
    fc.property(anyTextLike(WHOLE), (text) => {
      const faults = faultsOf({ '/c/agent.yaml': text, '/c/token': 'x' });
      expect(faults.filter((fault) => !/^\/c\/agent\.yaml:\d+: /.test(fault))).toEqual([]);
    }),
    { numRuns: 500 },
  );
});
