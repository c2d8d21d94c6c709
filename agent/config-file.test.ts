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
    '/c/agent.yaml:2: labels must be',
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
] as const)('a file of %o has %i faults', ([text, count]) => {
  expect(faultsOf({ '/c/agent.yaml': text })).toHaveLength(count);
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
