import type { Batch } from '@muster/proto/batch';
import { EVENTS_MAX, type Gap, type HostEvent } from '@muster/proto/event';

/** What is to be told besides samples. */
export type News = Pick<Batch, 'events' | 'info'>;
export const NO_NEWS: News = {};

/** So many gaps for one reason are told apart; beyond that the oldest are told as one. */
const GAPS_MAX = 16;

/**
 * Both, the later inventory counting. The oldest events fall out when there are more than a batch may carry, but
 * never a gap: what is lost stays counted.
 */
export function joinNews(older: News, newer: News): News {
  const all = [...(older.events ?? []), ...(newer.events ?? [])];
  const gaps = joinGaps(all.filter((event) => event.kind === 'gap'));
  const others = all.filter((event) => event.kind !== 'gap');
  const events: readonly HostEvent[] = [
    ...others.slice(Math.max(0, others.length + gaps.length - EVENTS_MAX)),
    ...gaps,
  ];
  const info = newer.info ?? older.info;
  if (events.length === 0 && info === undefined) return NO_NEWS;
  return { ...(events.length === 0 ? {} : { events }), ...(info === undefined ? {} : { info }) };
}

function joinGaps(gaps: readonly Gap[]): readonly Gap[] {
  const byReason = Map.groupBy(gaps, ({ reason }) => reason);
  return [...byReason.values()].flatMap((same) => {
    const older = same.slice(0, same.length - GAPS_MAX + 1);
    return same.length <= GAPS_MAX ? same : [joinToOne(older)].concat(same.slice(older.length));
  });
}

function joinToOne(gaps: readonly Gap[]): Gap {
  const reason = gaps[0]?.reason;
  return {
    kind: 'gap',
    fromMs: Math.min(...gaps.map(({ fromMs }) => fromMs)),
    toMs: Math.max(...gaps.map(({ toMs }) => toMs)),
    dropped: gaps.reduce((sum, { dropped }) => sum + dropped, 0),
    ...(reason === undefined ? {} : { reason }),
  };
}
