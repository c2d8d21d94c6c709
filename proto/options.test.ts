import { expect, test } from 'vitest';

import { formatOptions, parseOptions, parsePort, parseSwitch, parseText, type Option } from './options.ts';

const OPTIONS = {
  port: { env: 'X_PORT', placeholder: 'PORT', help: 'the port', default: 1, parse: parsePort } satisfies Option<number>,
  dataDirectory: {
    env: 'X_DATA',
    placeholder: 'DIR',
    help: 'the data',
    default: 'd',
    parse: parseText,
  } satisfies Option<string>,
  token: {
    env: 'X_TOKEN',
    secret: true,
    placeholder: 'TOKEN',
    help: 'the token',
    default: '',
    parse: parseText,
  } satisfies Option<string>,
  quiet: { help: 'say less', default: false, parse: parseSwitch } satisfies Option<boolean>,
};

function parse(argv: readonly string[], env: Record<string, string> = {}) {
  const files: Record<string, string> = { '/secret': 'from file\n' };
  return parseOptions(OPTIONS, {
    argv,
    env,
    readFile(path) {
      const text = files[path];
      if (text === undefined) throw new Error('no such file');
      return text;
    },
  });
}

const DEFAULTS = { port: 1, dataDirectory: 'd', token: '', quiet: false };

test.for([
  [[], {}, {}],
  [['--port', '2'], {}, { port: 2 }],
  [['--port=2', '--data-directory', '/x=y'], {}, { port: 2, dataDirectory: '/x=y' }],
  [['--data-directory=/x=y'], {}, { dataDirectory: '/x=y' }],
  [[], { X_PORT: '3' }, { port: 3 }],
  [['--port', '2'], { X_PORT: '3' }, { port: 2 }],
  [[], { X_PORT: '' }, {}],
  [['--quiet'], {}, { quiet: true }],
  [['--quiet=false'], {}, { quiet: false }],
  [[], { X_TOKEN_FILE: '/secret' }, { token: 'from file' }],
  [[], { X_TOKEN_FILE: '/secret', X_TOKEN: 'direct' }, { token: 'direct' }],
  [[], { X_DATA_FILE: '/secret' }, {}],
] as const)('parseOptions(%o, %o) gives %o', ([argv, env, values]) => {
  expect(parse(argv, env)).toEqual({ ok: true, value: { ...DEFAULTS, ...values } });
});

test('parseOptions() reports all faults at once, without showing a secret', () => {
  const parsed = parse(['--port', '99999', '--colour', '--token', ''], { X_DATA: 'x', X_TOKEN_FILE: '/none' });
  expect(parsed).toEqual({
    ok: false,
    error: [
      '--colour is not an option; --help lists them',
      '--port must be a port from 0 (any free one) to 65535, was "99999"',
      '--token must be a text, was something else',
    ],
  });
  expect(parse(['--colour', 'red', '--port', '2'])).toEqual({
    ok: false,
    error: ['--colour is not an option; --help lists them'],
  });
  expect(parse(['--port'])).toEqual({ ok: false, error: ['--port needs a value: --port PORT'] });
  expect(parse([], { X_TOKEN_FILE: '/none' })).toEqual({
    ok: false,
    error: ['X_TOKEN_FILE cannot be read: no such file'],
  });
});

test('formatOptions() names every flag and variable', () => {
  expect(formatOptions('x: does things', OPTIONS)).toBe(`x: does things

  --port PORT           the port [X_PORT]
  --data-directory DIR  the data [X_DATA]
  --token TOKEN         the token [X_TOKEN or X_TOKEN_FILE]
  --quiet               say less
  --help                print this and exit
`);
});
