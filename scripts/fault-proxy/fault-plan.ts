import { seededRandom } from '../random.ts';

/** What a fault proxy does to its connections. Ratios are 0 to 1, of all connections; everything is off at first. */
export type Faults = {
  /** Every byte arrives this much later, each way … */
  readonly latencyMs: number;
  /** … and up to this much more, drawn once for a connection. */
  readonly jitterMs: number;
  /** Each way of a connection carries this much; 0: as much as there is. */
  readonly throttleBytesPerSecond: number;
  /** Both sides are closed, after some bytes of a way … */
  readonly cut: number;
  readonly cutBytesMax: number;
  /** … or after some time, whichever comes first; 0: by bytes only. */
  readonly cutMsMax: number;
  /** Both sides are reset (RST), after some bytes of a way. */
  readonly reset: number;
  readonly resetBytesMax: number;
  /** What one side sends goes nowhere while both sockets stay open, from some byte on and for this time. */
  readonly halfOpen: number;
  readonly halfOpenBytesMax: number;
  readonly halfOpenMs: number;
  /** Of all replies: swallowed, and the connection cut. The request had gone through. */
  readonly dropReplies: number;
};

export const NO_FAULTS: Faults = {
  latencyMs: 0,
  jitterMs: 0,
  throttleBytesPerSecond: 0,
  cut: 0,
  cutBytesMax: 65_536,
  cutMsMax: 0,
  reset: 0,
  resetBytesMax: 65_536,
  halfOpen: 0,
  halfOpenBytesMax: 65_536,
  halfOpenMs: 5_000,
  dropReplies: 0,
};

/** `request` is what the client sends, `reply` what the server answers. */
export type Way = 'request' | 'reply';

/** Something that will happen to a connection once so many bytes of one way have passed. */
export type Trip = {
  readonly kind: 'cut' | 'reset' | 'half-open';
  readonly way: Way;
  readonly afterBytes: number;
  /** At the latest after this time; Infinity: by bytes only. */
  readonly afterMs: number;
};

export type Plan = { readonly delayMs: number; readonly trips: readonly Trip[] };

/** What will happen to connection number `connection`. It follows from the seed and that number, not from time. */
export function planConnection(seed: number, connection: number, faults: Faults): Plan {
  const random = seededRandom(seed, connection);
  const delayMs = faults.latencyMs + faults.jitterMs * random();
  const kinds = [
    { kind: 'cut', ratio: faults.cut, bytesMax: faults.cutBytesMax, msMax: faults.cutMsMax },
    { kind: 'reset', ratio: faults.reset, bytesMax: faults.resetBytesMax, msMax: 0 },
    { kind: 'half-open', ratio: faults.halfOpen, bytesMax: faults.halfOpenBytesMax, msMax: 0 },
  ] as const;
  const trips: Trip[] = [];
  for (const { kind, ratio, bytesMax, msMax } of kinds) {
    // Drawn whether needed or not: switching one fault on leaves the others as they were.
    const [chance, side, bytes, time] = [random(), random(), random(), random()];
    if (chance >= ratio) continue;
    trips.push({
      kind,
      way: side < 0.5 ? 'request' : 'reply',
      afterBytes: 1 + Math.floor(bytes * bytesMax),
      afterMs: msMax === 0 ? Infinity : Math.round(time * msMax),
    });
  }
  return { delayMs, trips };
}

/** The chances of a connection's replies, one after the other: a reply is dropped when its own is below the ratio. */
export function drawReplies(seed: number, connection: number): () => number {
  return seededRandom(seed, connection, 1);
}
