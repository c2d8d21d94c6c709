/**
 * The longest wait between two tries. An agent that tries as often as it would push is no more load than a healthy one,
 * and after an outage the whole fleet is live again within 5 s, an answer included; its backlogs come later (push.ts).
 */
export const BACKOFF_MS_MAX = 4_500;
/** The longest wait that is granted to a collector that asks for one. */
export const RETRY_AFTER_MS_MAX = 300_000;

/**
 * How long to wait before the next try: full jitter over min(4.5 s, 2ⁿ s), n being the number of failures before this
 * one, so that a fleet does not come back all at once. What the collector asked for is added below, not replaced:
 * it asks everybody for the same. Source: AWS Architecture Blog, "Exponential Backoff and Jitter".
 */
export function backoffMs(failures: number, retryAfterMs: number, random: () => number): number {
  const jitterMs = random() * Math.min(BACKOFF_MS_MAX, 1000 * 2 ** failures);
  return Math.min(retryAfterMs, RETRY_AFTER_MS_MAX) + jitterMs;
}

/** A Retry-After header, seconds or a date, as milliseconds from now; 0 when there is none that can be read. */
export function parseRetryAfter(text: string, nowMs: number): number {
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  const untilMs = Date.parse(text);
  return Number.isNaN(untilMs) ? 0 : Math.max(0, untilMs - nowMs);
}
