import { err, ok } from '@muster/proto/result';

import type { Protocol } from '../port-holder.ts';
import type { ReadResult, Sample, Source } from '../source.ts';
import { describeFault, describeOpen, formatEndpoint, type Fault } from './listen.ts';
import type { SeriesKeeper } from './series.ts';

/** What failed is tried again so often. */
const RETRY_MS = 30_000;

/** A port that is open, or was. */
export type Listener = {
  /** Why it does not listen; null when it does. With a fault it holds the port no more, or is about to give it back. */
  readonly fault: () => Fault | null;
  /** Resolves when the port is free. May be called again. */
  readonly close: () => Promise<void>;
};

export type KeepListeningOptions = {
  readonly protocol: Protocol;
  readonly address: string;
  readonly port: number;
  /** Where others send to, behind the port. */
  readonly path?: string;
  readonly open: () => Promise<Listener>;
  readonly keeper: SeriesKeeper;
  /** What others have sent until now. */
  readonly take: (nowMs: number) => readonly Sample[];
  /** What there is to say of the listening itself. */
  readonly sample: () => readonly Sample[];
  readonly root: string;
  readonly now: () => number;
};

/** Listens as long as the source is open, whatever happens to the port: all that a source needs besides its name. */
export async function keepListening(
  options: KeepListeningOptions,
): Promise<Required<Pick<Source, 'read' | 'diagnose' | 'close'>>> {
  const { protocol, address, port, path = '', open, keeper, take, sample, root, now } = options;
  const endpoint = formatEndpoint(address, port);
  let listener = await open();
  let fault = describe();
  let triedMs = now();

  function describe(): string | null {
    const found = listener.fault();
    return found === null ? null : describeFault(root, { protocol, endpoint, port }, found);
  }

  async function reopen(): Promise<void> {
    await listener.close();
    listener = await open();
    fault = describe();
  }

  function read(nowMs: number): ReadResult {
    // What came before it lost its port is told still.
    const told = take(nowMs);
    if (fault !== null && told.length === 0) return err(fault);
    const { samples, remark, refused, events } = keeper.report(nowMs);
    // Who sends packets gets no answer: only here can it be said.
    const remarks = [fault, remark, protocol === 'udp' ? refused : null].filter((one) => one !== null);
    return ok({
      samples: [...told, ...samples, ...sample()],
      events,
      ...(remarks.length === 0 ? {} : { remark: remarks.join('; ') }),
    });
  }

  return {
    read: () => {
      const nowMs = now();
      // One that fails while it listens is found out here.
      if (fault === null) fault = describe();
      if (fault === null || Math.abs(nowMs - triedMs) < RETRY_MS) return read(nowMs);
      triedMs = nowMs;
      return reopen().then(() => read(nowMs));
    },
    diagnose: async () => (fault === null ? [describeOpen(protocol, address, endpoint + path)] : [{ what: fault }]),
    close: async () => {
      keeper.close();
      await listener.close();
    },
  };
}
