import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { loadPage } from './page.ts';

let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'muster-built-'));
  await mkdir(join(directory, 'dist/assets'), { recursive: true });
  await writeFile(join(directory, 'secret.txt'), 'secret');
  await writeFile(join(directory, 'dist/index.html'), 'the page');
  await writeFile(join(directory, 'dist/favicon.svg'), '<svg/>');
  await writeFile(join(directory, 'dist/assets/main-1.js'), 'script');
});

afterAll(() => rm(directory, { recursive: true }));

test.for([
  ['/', 'the page', 'text/html; charset=utf-8', 'no-cache'],
  ['/hosts/web-1', 'the page', 'text/html; charset=utf-8', 'no-cache'],
  ['/hosts/web-1.example.com', 'the page', 'text/html; charset=utf-8', 'no-cache'],
  ['/../secret.txt', 'the page', 'text/html; charset=utf-8', 'no-cache'],
  ['/favicon.svg', '<svg/>', 'image/svg+xml', 'no-cache'],
  ['/assets/main-1.js', 'script', 'text/javascript; charset=utf-8', 'public, max-age=31536000, immutable'],
] as const)('loadPage() answers %s', async ([path, body, type, cache]) => {
  const response = (await loadPage(join(directory, 'dist')))(path);
  expect([
    await response?.text(),
    response?.headers.get('Content-Type'),
    response?.headers.get('Cache-Control'),
  ]).toEqual([body, type, cache]);
});

test.for(['/robots.txt', '/assets/', '/assets/none.js', '/assets/../secret.txt', '/secret.txt'])(
  'loadPage() has nothing at %s',
  async (path) => {
    expect((await loadPage(join(directory, 'dist')))(path)).toBeNull();
  },
);

test('loadPage() has nothing at all when the page was not built', async () => {
  expect((await loadPage(join(directory, 'none')))('/')).toBeNull();
});
