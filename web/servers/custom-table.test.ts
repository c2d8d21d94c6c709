import { join } from 'node:path';

import type { HostReply, HostRow, LatestValue } from '@muster/proto/api';
import { formatLabels } from '@muster/proto/labels';
import type { Browser, Page } from 'playwright-core';
import { build } from 'vite';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { openBrowser } from '../../scripts/browser.ts';

// The built page in a real browser; it is told of one host by the test, over HTTP alone.

const ORIGIN = 'http://muster.test';
const HOSTILE = '<img src=x onerror=alert(1)>';
const SOON = { timeout: 10_000 } as const;
const NOTHING_KNOWN = { memoryBytes: null, diskRatio: null, diskMountpoint: null, load1: null, cores: null };
const ROW: HostRow = {
  host: 'web-1',
  name: 'Web 1',
  labels: {},
  status: 'up',
  lastMs: 1000,
  arrivedMs: 1000,
  everyMs: 1000,
  cpuRatio: null,
  memoryRatio: null,
  receiveBytesPerSecond: null,
  transmitBytesPerSecond: null,
  uptimeSeconds: 60,
  clockOffsetMs: 0,
  ...NOTHING_KNOWN,
};

const custom = { kind: 'gauge', unit: 's' } as const;
const VALUES: readonly LatestValue[] = [
  ...Array.from({ length: 101 }, (_, i) => ({ metric: 'm', labels: `i=${i}`, tsMs: 1, value: i, custom })),
  { metric: 'request.duration', labels: formatLabels({ route: HOSTILE }), tsMs: 1, value: 0.25, custom },
];

let browser: Browser;
let files: ReadonlyMap<string, string | Uint8Array>;

beforeAll(async () => {
  const root = join(import.meta.dirname, '..');
  const built = [await build({ root, logLevel: 'error', build: { write: false } })].flat();
  files = new Map(
    built
      .flatMap((bundle) => ('output' in bundle ? bundle.output : []))
      .map((file) => [`/${file.fileName}`, file.type === 'chunk' ? file.code : file.source]),
  );
  browser = await openBrowser();
}, 60_000);

afterAll(() => browser.close());

async function openHost(latest: readonly LatestValue[], viewport = { width: 1280, height: 900 }): Promise<Page> {
  const page = await browser.newPage({ viewport });
  await page.routeWebSocket(/\/live$/, () => undefined);
  await page.route(`${ORIGIN}/**`, async (route) => {
    const path = new URL(route.request().url()).pathname;
    const reply: HostReply = { nowMs: Date.now(), row: ROW, inventory: null, latest };
    if (path === '/api/v1/hosts/web-1') return route.fulfill({ json: reply });
    if (path.startsWith('/api/v1/session')) return route.fulfill({ json: {} });
    if (path.startsWith('/api/')) return route.fulfill({ status: 503, json: { error: { code: 'x', message: 'x' } } });
    const file = files.get(path) ?? files.get('/index.html') ?? '';
    const types = { js: 'text/javascript', css: 'text/css' } as const;
    const contentType = types[path.split('.').at(-1) as 'js' | 'css'] ?? 'text/html';
    return route.fulfill({ body: typeof file === 'string' ? file : new TextDecoder().decode(file), contentType });
  });
  await page.goto(`${ORIGIN}/hosts/web-1`);
  return page;
}

test('what services tell of themselves is a table that can be searched, whatever they call it', async () => {
  const page = await openHost(VALUES);
  const table = page.getByTestId('customs');
  await table.getByText('2 more not shown').waitFor();
  await table.getByRole('searchbox').fill('Duration ROUTE');
  await expect.poll(() => table.getByRole('row').count(), SOON).toBe(2);
  const cells = await table.getByRole('row').last().getByRole('cell').allInnerTexts();
  expect(cells.map((text) => text.trim())).toEqual(['request.duration', `route=${HOSTILE}`, '250\u00a0ms']);
  await table.getByRole('searchbox').fill('nothing');
  await table.getByText('None of 102 matches').waitFor();
  await page.close();
});

test('a few are not searched; where there are none, there is no table', async () => {
  const page = await openHost(VALUES.slice(0, 2));
  await page.getByTestId('customs').getByRole('row').nth(2).waitFor();
  expect(await page.getByRole('searchbox').count()).toBe(0);
  await page.close();
  const bare = await openHost([]);
  await bare.getByRole('heading', { name: 'Web 1' }).waitFor();
  expect(await bare.getByTestId('customs').count()).toBe(0);
  await bare.close();
});

test.for([360, 1280])('at %i pixels long names are there to their end, and no value is cut off', async (width) => {
  const metric = `${'long_name.of_a_service.'.repeat(5)}end`;
  const labels = formatLabels({ route: '/a-long-path'.repeat(80) });
  const page = await openHost([{ metric, labels, tsMs: 1, value: 0.25, custom }], { width, height: 900 });
  const table = page.getByTestId('customs');
  await table.getByText('250\u00a0ms').waitFor();
  const boxes = await table.locator('.scroller, td:first-child').evaluateAll((found) =>
    found.map(({ scrollWidth, clientWidth, scrollHeight, clientHeight }) => ({
      isWide: scrollWidth > clientWidth,
      isHigh: scrollHeight > clientHeight,
    })),
  );
  expect(boxes).toEqual([
    { isWide: false, isHigh: false },
    { isWide: false, isHigh: false },
  ]);
  await page.close();
});
