import type {
  CompletenessReply,
  EventsReply,
  HostReply,
  HostRow,
  HostsReply,
  LatestValue,
  SeriesReply,
} from '@muster/proto/api';
import { formatLabels } from '@muster/proto/labels';
import type { LiveMessage, LiveRequest } from '@muster/proto/live';
import type { Browser, Page, Route, WebSocketRoute } from 'playwright-core';
import { build } from 'vite';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';

import { openBrowser } from '../scripts/browser.ts';
import { CHART_SPECS } from './servers/chart-specs.ts';

// The built page in a real browser; what the collector says is said by the test.

const ORIGIN = 'http://muster.test';
/** How many metrics the charts of a host read. */
const METRICS = new Set(CHART_SPECS.flatMap(({ metrics }) => metrics)).size;
const SOON = { timeout: 10_000 } as const;
const row: HostRow = {
  host: 'web-1',
  name: 'Web 1',
  labels: {},
  status: 'up',
  lastMs: 1000,
  arrivedMs: 1000,
  everyMs: 1000,
  cpuRatio: 0.5,
  memoryRatio: 0.5,
  memoryBytes: 1024,
  diskRatio: 0.5,
  diskMountpoint: '/',
  receiveBytesPerSecond: 1,
  transmitBytesPerSecond: 1,
  load1: 1,
  cores: 8,
  uptimeSeconds: 60,
  clockOffsetMs: 0,
};

const figures = { ticksReceived: 17_280, ticksExpected: 17_280, batchesReceived: 10, batchesExpected: 10 };
const COMPLETE: CompletenessReply = {
  host: 'web-1',
  fromMs: 0,
  toMs: 86_400_000,
  hours: [],
  silences: [],
  silencesCount: 0,
  total: { ...figures, dropped: {}, quarantined: 0 },
};

let files: ReadonlyMap<string, string | Uint8Array>;
let browser: Browser;
let page: Page;
/** What the page asked over HTTP. */
let asked: string[];
/** The page's newest live socket. */
let socket: WebSocketRoute;
let seq: number;
/** What the host's next snapshot holds. */
let values: readonly LatestValue[];
/** What arrived of it, as its page asks. */
let completeness: Partial<CompletenessReply>;
let events: EventsReply['events'];

beforeAll(async () => {
  const built = [await build({ root: import.meta.dirname, logLevel: 'error', build: { write: false } })].flat();
  files = new Map(
    built
      .flatMap((bundle) => ('output' in bundle ? bundle.output : []))
      .map((file) => [`/${file.fileName}`, file.type === 'chunk' ? file.code : file.source]),
  );
  browser = await openBrowser();
}, 60_000);

afterAll(() => browser.close());

beforeEach(async () => {
  [asked, seq, values, completeness, events] = [[], 0, [], {}, []];
  page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  await page.route(`${ORIGIN}/**`, answer);
  await page.routeWebSocket(/\/live$/, (opened) => {
    socket = opened;
    opened.onMessage((text) => {
      const request: LiveRequest = JSON.parse(String(text));
      if (request.kind === 'subscribe') say(request.topic === 'fleet' ? fleetSnapshot() : hostMessage('host-snapshot'));
    });
  });
  return () => page.close();
});

test.for([
  // how the collector answers, whether the page then shows the fleet
  [null, true],
  [503, true],
  [401, false],
  [204, false],
] as const)('signing out that is answered by %o leaves the fleet in sight: %s', async ([status, isFleet]) => {
  await page.goto(ORIGIN);
  await page.getByTestId('host-row').waitFor();
  await page.route(`${ORIGIN}/api/v1/session`, (route) =>
    status === null ? route.abort() : route.fulfill({ status }),
  );
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByText(isFleet ? 'Not signed out: The collector' : 'access-key').waitFor();
  expect(await page.getByRole('table').count()).toBe(isFleet ? 1 : 0);
});

test('a host is asked for once, and again only after the connection was lost', async () => {
  const count = (): number => asked.filter((url) => url === '/api/v1/hosts/web-1').length;
  await openHost();
  say(hostMessage('host-snapshot'));
  say(hostMessage('host-patch', { ...row, uptimeSeconds: 120 }));
  await page.getByText('2 min 0 s').waitFor();
  expect(count()).toBe(1);
  await socket.close();
  await expect.poll(count, SOON).toBe(2);
});

test('what a snapshot does not name is forgotten', async () => {
  values = [usage('/', 0.5), usage('/gone', 0.6)];
  await openHost();
  const count = () => page.locator('.mountpoint').count();
  await expect.poll(count, SOON).toBe(2);
  values = [usage('/', 0.5)];
  say(hostMessage('host-snapshot'));
  await expect.poll(count, SOON).toBe(1);
});

test('what happened is told in words, and what a host calls things stays text that turns no other round', async () => {
  events = [
    { kind: 'oom-kill', atMs: 1_000, subject: '\u202e<img src=x onerror=alert(1)> (pid 7)' },
    { kind: 'boot', atMs: 500 },
  ];
  await openHost();
  const rows = page.getByTestId('events').locator('tr');
  await expect.poll(() => rows.count(), SOON).toBe(2);
  const told = await rows.first().locator('bdi').innerText();
  expect(told).toBe('Killed for want of memory: \u202e<img src=x onerror=alert(1)> (pid 7)');
});

test('a connection is found again though the clock of the browser stands still', async () => {
  await page.goto(ORIGIN);
  const state = () => page.getByTestId('connection').getAttribute('data-state');
  await expect.poll(state, SOON).toBe('live');
  await page.evaluate(() => (Date.now = () => 0));
  await socket.close();
  await expect.poll(state, SOON).toBe('lost');
  await expect.poll(state, SOON).toBe('live');
});

test('what somebody selected stays while numbers move', async () => {
  await openHost();
  const cpu = page.locator('[data-chart="cpu"] .legend-value');
  await cpu.waitFor();
  const fact = page.getByTestId('inventory').locator('dd').first();
  const [before, was] = [await Promise.all([cpu, fact].map((part) => part.elementHandle())), await cpu.innerText()];
  const nowMs = Date.now();
  values = [{ metric: 'system.cpu.utilization', labels: 'cpu.mode=user', tsMs: nowMs, value: 0.75 }];
  say(hostMessage('host-patch', { ...row, cpuRatio: 0.75 }));
  await expect.poll(() => cpu.innerText(), SOON).not.toBe(was);
  for (const element of before) expect(await element?.evaluate((node) => node.isConnected)).toBe(true);
});

test('a chart that is only there where something is appears with its first line', async () => {
  await openHost();
  await page.locator('[data-chart="memory"]').getByText('No samples').waitFor();
  expect(await page.locator('[data-chart="swap"]').count()).toBe(0);
  values = [{ metric: 'system.paging.usage', labels: 'system.paging.state=used', tsMs: Date.now(), value: 1 }];
  say(hostMessage('host-patch'));
  await page.locator('[data-chart="swap"]').waitFor();
});

test.for([
  // range, whether anybody looks, whether a minute later everything is read again
  ['15m', false, true],
  ['15m', true, false],
  ['30d', false, false],
] as const)(
  'what is stored, over %s and hidden %s, is read again after a minute: %s',
  async ([range, hidden, again]) => {
    const count = (): number => asked.filter((path) => path.startsWith('/api/v1/series')).length;
    await page.clock.install();
    await openHost(`?range=${range}`);
    await expect.poll(count, SOON).toBe(METRICS);
    await page.clock.pauseAt(Date.now() + 5000);
    await page.evaluate((isHidden) => Object.defineProperty(document, 'hidden', { value: isHidden }), hidden);
    for (let second = 0; second < 61; second += 10) {
      await page.clock.runFor(10_000);
      // Else the page, for which a minute passes in an instant, takes the connection for lost, and reads again for that.
      say(hostMessage('host-patch'));
      await page.evaluate(() => null);
    }
    await page.evaluate(() => fetch('/api/v1/session')); // whatever was asked before has arrived
    await expect.poll(count, SOON).toBe(again ? 2 * METRICS : METRICS);
  },
);

test('every page names its tab', async () => {
  await page.goto(ORIGIN);
  const title = () => page.title();
  await expect.poll(title, SOON).toBe('Fleet · Muster');
  await page.getByRole('link', { name: 'Web 1' }).click();
  await expect.poll(title, SOON).toBe('Web 1 · Muster');
  await page.goto(`${ORIGIN}/nowhere`);
  await expect.poll(title, SOON).toBe('No such page · Muster');
  await page.getByRole('button', { name: 'Sign out' }).click();
  await expect.poll(title, SOON).toBe('Sign in · Muster');
});

test.for([
  ['quarantined', 'Two machines send with the token of this host'],
  ['revoked', 'Its token was revoked'],
] as const)('a host that is %s says so in the fleet, and on its own page what to do', async ([status, said]) => {
  await page.goto(ORIGIN);
  await page.getByTestId('host-row').waitFor();
  say({ kind: 'fleet-patch', topic: 'fleet', seq: 1, nowMs: Date.now(), rows: [{ ...row, status }] });
  const fleet = page.locator(`[data-testid="host-row"][data-status="${status}"]`);
  await fleet.locator('.status', { hasText: status }).waitFor();
  await page.getByText(`, 1 ${status}`).waitFor();
  await openHost();
  const advice = page.getByText(said);
  expect(await advice.count()).toBe(0);
  say(hostMessage('host-patch', { ...row, status }));
  await advice.waitFor();
  say(hostMessage('host-patch'));
  await advice.waitFor({ state: 'detached' });
});

test('headings go down one level at a time', async () => {
  values = [usage('/', 0.5)];
  await openHost();
  await page.getByTestId('filesystems').waitFor();
  const levels = await page.locator('h1, h2, h3, h4, h5, h6').evaluateAll((all) => all.map(({ tagName }) => tagName));
  expect([levels[0], ...new Set(levels.slice(1))]).toEqual(['H1', 'H2']);
});

test('a fleet that nothing matches is still a table of rows', async () => {
  await page.goto(`${ORIGIN}/?filter=nothing`);
  await page.getByText('No host matches').waitFor();
  expect(await page.getByRole('table').locator('> :not([role="row"])').count()).toBe(0);
});

test('what has a title can be hovered, and pressed as the row that it is in', async () => {
  await page.goto(ORIGIN);
  // Playwright itself refuses to press what something else covers.
  await page.getByTitle('8 cores').click(SOON);
  await expect.poll(() => page.url(), SOON).toContain('/hosts/web-1');
});

test('on a phone every number of the fleet has its name', async () => {
  await page.setViewportSize({ width: 390, height: 844 });
  await page.goto(ORIGIN);
  expect(await page.getByTestId('receive').ariaSnapshot()).toContain('Net in');
});

test('on a phone no column of the filesystems is cut off', async () => {
  await page.setViewportSize({ width: 390, height: 844 });
  values = [usage('/var/lib/docker/overlay2', 0.999), ...sizes('/var/lib/docker/overlay2')];
  await openHost();
  const widths = await page.locator('.scroller').evaluate((box) => [box.scrollWidth, box.clientWidth]);
  expect(widths[0]).toBe(widths[1]);
});

test('a host whose data is complete says so in one line, without anything to open', async () => {
  await openHost();
  await page.getByText('Data: 100\u00a0% of the last 24\u00a0h, no gaps').waitFor();
  expect(await page.locator('details').count()).toBe(0);
});

test('what is missing can be read by the keyboard: the hours, the reasons, the times', async () => {
  const hourMs = 1_795_312_800_000;
  const part = { ...figures, ticksReceived: 17_180, dropped: { full: 1080 }, quarantined: 1 };
  const silence = { fromMs: hourMs + 60_000, toMs: hourMs + 565_000, ticksMissing: 100 };
  const hour = { ...part, hourMs, ticksReceived: 620, ticksExpected: 720 };
  completeness = { total: part, hours: [hour], silences: [silence], silencesCount: 2 };
  await openHost();
  const line = page.locator('summary');
  expect(await line.innerText()).toBe(
    'Data: 99.42\u00a0% of the last 24\u00a0h, 2 gaps, 1,080 samples lost, 1 sample set aside',
  );
  await line.focus();
  await page.keyboard.press('Enter');
  const detail = page.getByRole('region', { name: 'What is missing' });
  await detail.getByText('1,080 samples lost by the agent: its spool was full.').waitFor();
  await detail.getByText('1 sample set aside: the clock of the host was wrong, or the value cannot be.').waitFor();
  expect(await detail.getByRole('row').last().innerText()).toMatch(/:00 – \d\d:00\s+620 of 720\s+1,080\s+1$/);
  expect(await detail.getByRole('listitem').allInnerTexts()).toEqual([
    expect.stringMatching(/:01:00 – \d\d:09:25, 100 ticks missing$/),
    '1 more before',
  ]);
});

test.for([
  [null, ''],
  [60_000, ''],
  [-61_000, 'clock 1 min 1 s behind'],
  [7_200_000, 'clock 2 h 0 min ahead'],
] as const)('a clock that is %i ms ahead is shown beside the status as %s', async ([clockOffsetMs, text]) => {
  await openHost();
  say(hostMessage('host-patch', { ...row, clockOffsetMs, uptimeSeconds: 180 }));
  await page.getByText('3 min 0 s').waitFor();
  const shown = await page.getByTestId('clock').allInnerTexts();
  expect(shown.join('').replaceAll('\u00a0', ' ')).toBe(text);
});

async function openHost(search = ''): Promise<void> {
  await page.goto(`${ORIGIN}/hosts/web-1${search}`);
  await page.locator('[data-testid="connection"][data-state="live"]').waitFor();
  await page.locator('[data-chart="cpu"] .legend-value').waitFor();
}

async function answer(route: Route): Promise<void> {
  const url = new URL(route.request().url());
  const path = url.pathname;
  asked.push(path);
  if (route.request().method() === 'DELETE') return route.fulfill({ status: 204 });
  if (path.startsWith('/api/')) return route.fulfill({ json: reply(path, url.searchParams.get('metric') ?? '') });
  const file = files.get(path) ?? files.get('/index.html') ?? '';
  return route.fulfill({
    body: typeof file === 'string' ? file : new TextDecoder().decode(file),
    contentType: typeOf(path),
  });
}

function typeOf(path: string): string {
  if (path.endsWith('.js')) return 'text/javascript';
  return path.endsWith('.css') ? 'text/css' : 'text/html';
}

function reply(path: string, metric: string): HostReply | HostsReply | SeriesReply | object {
  const nowMs = Date.now();
  if (path === '/api/v1/hosts') return { nowMs, hosts: [row] } satisfies HostsReply;
  if (path.endsWith('/events'))
    return { host: 'web-1', fromMs: 0, toMs: nowMs, events, eventsCount: events.length } satisfies EventsReply;
  if (path.endsWith('/completeness')) return { ...COMPLETE, ...completeness } satisfies CompletenessReply;
  if (path.startsWith('/api/v1/hosts/')) return { nowMs, row, inventory: null, latest: values } satisfies HostReply;
  if (path !== '/api/v1/series') return {};
  const tsMs = [nowMs - 3000, nowMs - 2000];
  const user = { labels: { 'cpu.mode': 'user' }, tsMs, values: [0.5, 0.5] };
  return {
    host: row.host,
    metric,
    kind: 'gauge',
    unit: '1',
    fromMs: 0,
    toMs: nowMs,
    tier: 'raw',
    tiers: [],
    series: metric === 'system.cpu.utilization' ? [user] : [],
    gaps: [],
  } satisfies SeriesReply;
}

function say(message: LiveMessage): void {
  socket.send(JSON.stringify(message));
}

function fleetSnapshot(): LiveMessage {
  return { kind: 'fleet-snapshot', topic: 'fleet', seq: 0, nowMs: Date.now(), rows: [row] };
}

function hostMessage(kind: 'host-snapshot' | 'host-patch', changed: HostRow = row): LiveMessage {
  seq += 1;
  return { kind, topic: 'host/web-1', seq, nowMs: Date.now(), row: changed, values };
}

function usage(mountpoint: string, value: number): LatestValue {
  return filesystemValue('utilization', mountpoint, value);
}

function sizes(mountpoint: string): LatestValue[] {
  const state = (name: string) => ({ 'system.filesystem.state': name });
  return [
    filesystemValue('usage', mountpoint, 1000 * 1024 ** 2, state('used')),
    filesystemValue('usage', mountpoint, 1000 * 1024 ** 2, state('free')),
    filesystemValue('inodes.utilization', mountpoint, 0.999),
  ];
}

function filesystemValue(
  name: string,
  mountpoint: string,
  value: number,
  more: Record<string, string> = {},
): LatestValue {
  const labels = formatLabels({
    'system.device': '/dev/mapper/vg0-root',
    'system.filesystem.mountpoint': mountpoint,
    'system.filesystem.type': 'ext4',
    ...more,
  });
  return { metric: `system.filesystem.${name}`, labels, tsMs: Date.now(), value };
}
