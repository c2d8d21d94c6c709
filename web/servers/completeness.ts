import type { CompletenessReply } from '@muster/proto/api';
import { type Accessor, createEffect, createSignal, on, onCleanup } from 'solid-js';

import type { App } from '../app-context.ts';
import { formatCount, formatHourMinute, formatInstant, formatTime } from '../format.ts';

/** How often the figures are read again while the page is in sight. */
const REFRESH_MS = 60_000;

/** What arrived of a host in the last 24 hours; null until it is known. */
export function createCompleteness(app: App, host: string): Accessor<CompletenessReply | null> {
  const [reply, setReply] = createSignal<CompletenessReply | null>(null);
  const load = async (): Promise<void> => {
    const answer = await app.api.readCompleteness(host);
    if (answer.ok) setReply(answer.value); // else what is on screen stays: it says of which time it is
  };
  const timer = setInterval(() => {
    if (!document.hidden) void load();
  }, REFRESH_MS);
  onCleanup(() => clearInterval(timer));
  createEffect(on(app.live.reconnections, () => void load()));
  return reply;
}

/** One line: `99.98 % of the last 24 h, 2 gaps`; empty where nothing was expected and nothing went wrong. */
export function summarise({ total, silencesCount }: CompletenessReply): string {
  const lost = addUp(total.dropped);
  const parts: string[] = [];
  if (total.ticksExpected > 0) {
    parts.push(`${formatShare(total.ticksReceived / total.ticksExpected)} of the last 24\u00a0h`);
    parts.push(silencesCount === 0 ? 'no gaps' : countOf(silencesCount, 'gap'));
  }
  if (lost > 0) parts.push(`${countOf(lost, 'sample')} lost`);
  if (total.quarantined > 0) parts.push(`${countOf(total.quarantined, 'sample')} set aside`);
  return parts.join(', ');
}

/** Why samples are missing, a sentence each. */
export function explain({ total }: CompletenessReply): readonly string[] {
  const reasons = Object.entries(total.dropped).map(([reason, count]) => {
    const lost = count > 0 ? countOf(count, 'sample') : 'An unknown number of samples';
    return `${lost} lost by the agent: ${REASONS[reason] ?? reason}.`;
  });
  if (total.quarantined === 0) return reasons;
  const aside = `${countOf(total.quarantined, 'sample')} set aside: the clock of the host was wrong, or the value cannot be.`;
  return [...reasons, aside];
}

/** The hours in which something is missing, the newest first. */
export function listHours({ hours }: CompletenessReply) {
  return hours
    .filter(
      ({ ticksReceived, ticksExpected, dropped, quarantined }) =>
        ticksReceived < ticksExpected || addUp(dropped) + quarantined > 0,
    )
    .map(({ hourMs, ticksReceived, ticksExpected, dropped, quarantined }) => ({
      hour: `${formatInstant(hourMs).replace(/:\d\d$/, '')} – ${formatHourMinute(hourMs + 3_600_000)}`,
      arrived: `${formatCount(ticksReceived)} of ${formatCount(ticksExpected)}`,
      lost: formatCount(addUp(dropped)),
      aside: formatCount(quarantined),
    }))
    .toReversed();
}

/** The gaps by their times: `12 Nov 14:02:10 – 14:10:00, 95 ticks missing`. */
export function listGaps({ silences, silencesCount }: CompletenessReply): readonly string[] {
  const gaps = silences.map(
    ({ fromMs, toMs, ticksMissing }) =>
      `${formatInstant(fromMs)} – ${formatTime(toMs)}, ${countOf(ticksMissing, 'tick')} missing`,
  );
  return silencesCount > gaps.length ? [...gaps, `${formatCount(silencesCount - gaps.length)} more before`] : gaps;
}

const REASONS: Readonly<Record<string, string>> = {
  full: 'its spool was full',
  age: 'they were older than its spool keeps',
  damaged: 'its disk damaged them',
  refused: 'the collector refused them',
  killed: 'it ended before it could write them',
  unknown: 'it did not say why',
};

/** Two decimals, and nothing but all of it is 100 %. */
function formatShare(ratio: number): string {
  return ratio >= 1 ? '100\u00a0%' : `${(Math.floor(ratio * 10_000) / 100).toFixed(2)}\u00a0%`;
}

function countOf(count: number, thing: string): string {
  return `${formatCount(count)} ${thing}${count === 1 ? '' : 's'}`;
}

function addUp(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}
