import type { Browser, Page } from 'playwright-core';

import { openBrowser } from '../browser.ts';
import type { Mark } from './hosts.ts';

/** From a sample being taken to its value standing on a page, ms. */
export type Shown = { readonly fleetMs: readonly number[]; readonly hostMs: readonly number[] };

/** A real browser with two pages open: the fleet, and the first host of it. */
export type Watching = {
  /** What they showed since the last look, of what was taken since then. */
  readonly look: (marks: readonly Mark[]) => Promise<Shown>;
  readonly close: () => Promise<void>;
};

/** What a page has shown: the host, a number with two decimals, and when, Unix ms. */
type Seen = readonly [host: string, number: string, atMs: number];

/** Notes every number with two decimals that comes to stand in some places, each of which tells its host. */
const WATCH = (places: string): string => `(() => {
  const seen = [];
  const last = new Map();
  const note = (place) => {
    const host = place.closest('[data-host]')?.getAttribute('data-host') ?? '';
    const atMs = performance.timeOrigin + performance.now();
    for (const [number] of place.innerHTML.matchAll(/\\d+\\.\\d\\d(?!\\d)/g)) {
      if (last.get(host + number) > atMs - 60_000) continue;
      last.set(host + number, atMs);
      seen.push([host, number, atMs]);
    }
  };
  const placeOf = (node) => (node instanceof Element ? node : node.parentElement)?.closest(${JSON.stringify(places)});
  new MutationObserver((changes) => {
    for (const place of new Set(changes.map(({ target }) => placeOf(target)))) if (place) note(place);
  }).observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true });
  window.takeSeen = () => { last.forEach((atMs, key) => atMs < performance.timeOrigin + performance.now() - 60_000 && last.delete(key)); return seen.splice(0); };
})()`;

/** `url` signs in. */
export async function watchPages(url: string, host: string): Promise<Watching> {
  const browser = await openBrowser();
  try {
    const fleet = await openPage(browser, url, '[data-testid="load"]');
    const own = await openPage(browser, url, '[data-chart="load"]', `/hosts/${host}`);
    return {
      async look(marks) {
        const [ofFleet, ofHost] = await Promise.all(
          [fleet, own].map((page) => page.evaluate<readonly Seen[]>('takeSeen()')),
        );
        return { fleetMs: compare(ofFleet ?? [], marks, null), hostMs: compare(ofHost ?? [], marks, host) };
      },
      close: () => browser.close(),
    };
  } catch (cause) {
    await browser.close();
    throw cause;
  }
}

async function openPage(browser: Browser, url: string, places: string, path = '/'): Promise<Page> {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  await page.goto(url);
  await page.locator('[data-testid="host-row"]').first().waitFor();
  if (path !== '/') await page.goto(new URL(path, url).href);
  await page.locator(places).first().waitFor();
  await page.evaluate(WATCH(places));
  return page;
}

/** How long after it was taken each value stood there, of those that did; `only`: the host that the whole page is of. */
function compare(seen: readonly Seen[], marks: readonly Mark[], only: string | null): readonly number[] {
  const times = new Map(marks.map(({ host, load, takenMs }) => [`${host} ${load.toFixed(2)}`, takenMs]));
  return seen.flatMap(([host, number, atMs]) => {
    const takenMs = times.get(`${only ?? host} ${number}`);
    return takenMs === undefined || atMs < takenMs ? [] : atMs - takenMs;
  });
}
