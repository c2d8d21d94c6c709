import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { openBrowser } from './browser.ts';
import { runMuster, type RunningMuster } from './run-muster.ts';
import { until } from './until.ts';

// The whole of Muster, as `npm start` runs it, in a real browser.

let directory: string;
let muster: RunningMuster;
let address: URL;
let browser: Browser;
let page: Page;
/** What the browser complained of; connections refused while the collector is away are its due. */
const complaints: string[] = [];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'muster-page-'));
  muster = runMuster(['--port', '0', '--data', directory]);
  address = await muster.url();
  browser = await openBrowser();
  page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(error.message));
}, 60_000);

afterAll(async () => {
  await browser.close();
  muster.child.kill('SIGTERM');
  await muster.exited;
  await rm(directory, { recursive: true });
}, 60_000);

const row = '[data-testid="host-row"]';

test('without the key the page asks for it, and says when it is wrong', async () => {
  await page.goto(address.origin);
  await page.getByRole('textbox').or(page.locator('input[type="password"]')).first().fill('not the key');
  await page.keyboard.press('Enter');
  await page.getByText('opens nothing here').waitFor();
  // The two requests that were answered with 401 are what this test is about.
  expect(complaints.filter((text) => !text.includes('401'))).toEqual([]);
  complaints.length = 0;
});

test('the printed URL opens the fleet, shows this host, and keeps the key out of the address', async () => {
  await page.goto('about:blank');
  await page.goto(address.href);
  await page.locator(row).waitFor();
  expect(page.url()).not.toContain('key');
  expect(await page.locator(row).count()).toBe(1);
  await page.locator('[data-testid="connection"][data-state="live"]').waitFor();
  await page.locator(`${row} [data-testid="memory"]`, { hasText: /\d/ }).waitFor();
});

test('values move without a reload', async () => {
  await page.evaluate('window.isSamePage = true');
  await waitForChange(`${row} [data-testid="cpu"]`);
  expect(await page.evaluate('window.isSamePage')).toBe(true);
});

test('the page of the host draws every chart', async () => {
  await page.locator(`${row} a`).first().click();
  await page.waitForURL('**/hosts/**');
  await page.locator('[data-testid="chart"]').first().waitFor();
  // A kernel without pressure stall information has no such chart.
  const pressure = existsSync('/proc/pressure') ? ['pressure'] : [];
  for (const name of ['cpu', 'cores', 'memory', 'load', 'network', 'disk', 'filesystem', ...pressure]) {
    await page.locator(`[data-testid="chart"][data-chart="${name}"]`).waitFor();
  }
  const charts = page.locator('[data-testid="chart"]');
  const names = await charts.evaluateAll((figures) => figures.map((figure) => figure.getAttribute('data-chart') ?? ''));
  for (const name of names) {
    await page.locator(`[data-chart="${name}"]`).scrollIntoViewIfNeeded();
    expect((await waitForLine(name)).colours, name).toBeGreaterThanOrEqual(3);
  }
  // This test runs among the processes of the host.
  await page.locator('[data-testid="processes"] td', { hasText: 'node' }).first().waitFor();
}, 60_000);

test('a chart shows each sample within a second or two of its tick, while it is watched', async () => {
  const legend = page.locator('[data-chart="cpu"] canvas');
  await legend.scrollIntoViewIfNeeded();
  // The summary of a chart holds its newest values; the load of this test keeps the CPU from standing still.
  const seen: string[] = [];
  while (seen.length < 4) {
    const before = seen.at(-1);
    seen.push(
      await until('another value', async () => {
        const summary = (await page.locator('[data-chart="cpu"]').innerHTML()) || null;
        return summary === before ? null : summary;
      }),
    );
  }
  const [tick, previous] = await readTicks();
  expect((tick ?? NaN) - (previous ?? NaN)).toBe(1000);
});

/** The newest two ticks that the collector has of this host. */
async function readTicks(): Promise<readonly number[]> {
  const nowMs = Date.now();
  const host = await page.evaluate<string>("location.pathname.split('/')[2]");
  const query = `host=${host}&metric=system.memory.limit&fromMs=${nowMs - 60_000}&toMs=${nowMs + 1000}`;
  const reply = await page.evaluate<{ series: { tsMs: number[] }[] }>(
    `fetch('/api/v1/series?${query}').then((response) => response.json())`,
  );
  return reply.series[0]?.tsMs.toReversed() ?? [];
}

test.for(['5m', '15m', '1h', '6h', '24h', '7d', '30d'])('the range %s stands in the URL and draws', async (range) => {
  await page.locator(`[data-testid="range"][data-range="${range}"]`).click();
  await page.waitForURL(`**range=${range}**`);
  expect((await waitForLine('cpu')).colours).toBeGreaterThanOrEqual(3);
});

test('nothing was complained of', () => {
  expect(complaints).toEqual([]);
});

test('a lost connection is shown and heals by itself, with the session kept over a restart of the collector', async () => {
  await page.goto(address.origin);
  await page.locator('[data-testid="connection"][data-state="live"]').waitFor();
  muster.child.kill('SIGTERM');
  expect(await muster.exited).toBe(0);
  await page.locator('[data-testid="connection"][data-state="lost"]').waitFor();
  muster = runMuster(['--port', address.port, '--data', directory]);
  await muster.url();
  await page.locator('[data-testid="connection"][data-state="live"]').waitFor({ timeout: 20_000 });
  await waitForChange(`${row} [data-testid="cpu"]`);
  expect(await page.locator(row).count()).toBe(1);
}, 60_000);

type Drawn = { readonly colours: number; readonly picture: string };

/** What a chart shows: how many opaque colours, and the picture itself, to compare it with a later one. */
function readChart(name: string): Promise<Drawn> {
  return page.evaluate(`(() => {
    const canvas = document.querySelector('[data-chart="${name}"] canvas');
    const copy = Object.assign(document.createElement('canvas'), { width: canvas.width, height: canvas.height });
    const context = copy.getContext('2d', { willReadFrequently: true });
    context.drawImage(canvas, 0, 0);
    const pixels = new Uint32Array(context.getImageData(0, 0, copy.width, copy.height).data.buffer);
    const opaque = pixels.filter((pixel) => pixel >>> 24 === 255);
    return { colours: new Set(opaque).size, picture: canvas.toDataURL() };
  })()`);
}

/** Waits for a line, not only an empty frame. */
async function waitForLine(name: string): Promise<Drawn> {
  return until(`a line in the chart ${name}`, async () => {
    const drawn = await readChart(name);
    return drawn.colours >= 3 ? drawn : null;
  });
}

/** Waits until an element reads otherwise than now. */
async function waitForChange(selector: string): Promise<void> {
  const before = await page.locator(selector).innerText();
  await until(`a change of ${selector}`, async () =>
    (await page.locator(selector).innerText()) === before ? null : true,
  );
}
