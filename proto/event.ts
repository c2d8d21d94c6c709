import { isCount, show } from './check-value.ts';
import { isRecord } from './record.ts';
import { err, ok, type Result } from './result.ts';

/** How many events a batch may hold. */
export const EVENTS_MAX = 100;
export const TEXT_LENGTH_MAX = 256;

/**
 * What happens at one instant. `subject` says to whom or why, in a few words: the process that was killed for want of
 * memory (`oom-kill`); the container that ended with an exit code other than 0, lost a process for want of memory, or
 * fails its health check (`container-died`, `container-oom`, `container-unhealthy`); the service that a check finds down,
 * and why, or up again (`check-down`, `check-up`); the agent's source that costs too much and is read less often, or no
 * more (`source-slowed`, `source-off`); what was beyond the limit of custom series (`series-dropped`).
 */
export const MOMENT_KINDS = [
  'boot',
  'shutdown',
  'oom-kill',
  'container-died',
  'container-oom',
  'container-unhealthy',
  'source-slowed',
  'source-off',
  'series-dropped',
  'check-down',
  'check-up',
] as const;
export type MomentKind = (typeof MOMENT_KINDS)[number];
const MOMENTS: ReadonlySet<unknown> = new Set(MOMENT_KINDS);

/**
 * Something that happened on the host, at its own clock's time.
 *
 * `gap`: samples of these ticks were taken and then lost. `dropped` counts them exactly; `reason` is one word: `full`
 * and `age` (the spool's limits), `damaged` (on the disk), `refused` (by the collector), `killed` (the agent ended before
 * it could write them: nobody knows how many, and `dropped` is 0). `seq` is the first record of the spool that it tells
 * of: two gaps that are otherwise equal are told apart by it, and one that is told twice is one.
 */
export type HostEvent = Moment | Gap;
export type Moment = { readonly kind: MomentKind; readonly atMs: number; readonly subject?: string };
export type Gap = {
  readonly kind: 'gap';
  readonly fromMs: number;
  readonly toMs: number;
  readonly dropped: number;
  readonly reason?: string;
  readonly seq?: number;
};

/** The events of a batch, from outside. Those of a kind that a newer agent knows are passed over. */
export function readEvents(value: unknown): Result<HostEvent[], string> {
  if (value === undefined || value === null) return ok([]);
  if (!Array.isArray(value)) return err(`events must be an array, was ${show(value)}`);
  if (value.length > EVENTS_MAX) return err(`there are ${value.length} events, more than ${EVENTS_MAX}`);
  const events: HostEvent[] = [];
  for (const entry of value) {
    if (!isRecord(entry) || typeof entry['kind'] !== 'string')
      return err(`an event must be a map with a kind, was ${show(entry)}`);
    const event = readEvent(entry);
    if (event === 'malformed')
      return err(`the event ${show(entry)} lacks its times, or its reason is no word, or its subject no short text`);
    if (event !== null) events.push(event);
  }
  return ok(events);
}

const REASON_PATTERN = /^[a-z][a-z-]{0,31}$/;

/** null for a kind that a newer agent knows and we do not. */
function readEvent({
  kind,
  atMs,
  fromMs,
  toMs,
  dropped,
  reason,
  seq,
  subject,
}: Record<string, unknown>): HostEvent | 'malformed' | null {
  if (isMomentKind(kind)) {
    if (!isCount(atMs)) return 'malformed';
    if (subject === undefined) return { kind, atMs };
    return typeof subject === 'string' && subject.length <= TEXT_LENGTH_MAX ? { kind, atMs, subject } : 'malformed';
  }
  if (kind !== 'gap') return null;
  if (!isCount(fromMs) || !isCount(toMs) || !isCount(dropped) || fromMs > toMs) return 'malformed';
  if (reason !== undefined && (typeof reason !== 'string' || !REASON_PATTERN.test(reason))) return 'malformed';
  if (seq !== undefined && !isCount(seq)) return 'malformed';
  return {
    kind,
    fromMs,
    toMs,
    dropped,
    ...(reason === undefined ? {} : { reason }),
    ...(seq === undefined ? {} : { seq }),
  };
}

function isMomentKind(kind: unknown): kind is MomentKind {
  return MOMENTS.has(kind);
}
