import type { EventsReply } from '@muster/proto/api';
import { createEffect, createSignal, Index, type JSX, onCleanup, Show } from 'solid-js';

import { useApp } from '../app-context.ts';
import { formatCount, formatInstant } from '../format.ts';
import { describeEvent } from './events.ts';
import type { Range } from './range.ts';

/** Events are few: a chart of five minutes is rarely what they are looked for in. */
const RANGE_MS_MIN = 86_400_000;
/** How often they are read again while the page is in sight. */
const REFRESH_MS = 60_000;

/** What happened on a host in the range that its charts show, and in the last 24 hours at least. */
export function EventTable(props: { readonly host: string; readonly range: Range }): JSX.Element {
  const { api, live } = useApp();
  const [reply, setReply] = createSignal<EventsReply | null>(null);
  let newest = 0;
  const load = async (rangeMs: number): Promise<void> => {
    const own = (newest += 1);
    const nowMs = Date.now();
    const answer = await api.readEvents(props.host, nowMs - Math.max(rangeMs, RANGE_MS_MIN), nowMs + RANGE_MS_MIN);
    // Else what is on screen stays; and an answer may come after that to a later question.
    if (answer.ok && own === newest) setReply(answer.value);
  };
  const timer = setInterval(() => {
    if (!document.hidden) void load(props.range.rangeMs);
  }, REFRESH_MS);
  onCleanup(() => clearInterval(timer));
  createEffect(() => {
    live.reconnections();
    void load(props.range.rangeMs);
  });
  return (
    <Show when={reply()}>
      {(known) => (
        <Show when={known().events.length > 0}>
          <section class="card events" data-testid="events">
            <h2>What happened</h2>
            <div class="scroller" tabindex="0" role="region" aria-label="Events">
              <table>
                <tbody>
                  <Index each={known().events}>
                    {(event) => (
                      <tr>
                        <td class="instant">{formatInstant(event().atMs)}</td>
                        <td>
                          <bdi>{describeEvent(event())}</bdi>
                        </td>
                      </tr>
                    )}
                  </Index>
                </tbody>
              </table>
            </div>
            <Show when={known().eventsCount > known().events.length}>
              <p class="hint">{formatCount(known().eventsCount - known().events.length)} more before</p>
            </Show>
          </section>
        </Show>
      )}
    </Show>
  );
}
