import { err, ok, type Result } from '@muster/proto/result';

import type { Failure, Outcome, Probe, Run, Trace } from './check.ts';
import { openConnection } from './connect.ts';
import { probeDns } from './dns.ts';
import { describeFault, describeTimeout } from './failure.ts';
import { probeHttp } from './http.ts';
import { secure } from './secure.ts';

export type RunOptions = Pick<Run, 'now' | 'nowMs' | 'root' | 'timeoutMs'> & {
  /** Ends the run at once; what it found then is of no use. */
  readonly closing: AbortSignal;
};

/**
 * Looks at a service once. It is over after `timeoutMs`, however the other side behaves, and when it is over nothing of
 * it is left: every socket is destroyed, every question taken back.
 */
export async function runProbe(probe: Probe, { timeoutMs, closing, ...options }: RunOptions): Promise<Outcome> {
  const trace: Trace = { phase: 'dns', phasesMs: new Map(), statusCode: null, expiresMs: null };
  const over = new AbortController();
  const run: Run = { ...options, timeoutMs, trace, signal: over.signal, held: { socket: null } };
  const startedMs = options.nowMs();
  const { promise: late, resolve } = Promise.withResolvers<Result<null, Failure>>();
  const timer = setTimeout(() => resolve(err(describeTimeout(timeoutMs, trace.phase))), timeoutMs);
  const close = () => resolve(err({ type: 'other', words: 'the agent ends' }));
  closing.addEventListener('abort', close, { once: true });
  const looking = look(probe, run).catch((cause: unknown) => err(describeFault(cause)));
  const result = await Promise.race([looking, late]);
  clearTimeout(timer);
  closing.removeEventListener('abort', close);
  const { phasesMs, statusCode, expiresMs } = trace;
  const durationMs = options.nowMs() - startedMs;
  const outcome = {
    failure: result.ok ? null : result.error,
    durationMs,
    phasesMs: new Map(phasesMs),
    statusCode,
    expiresMs,
  };
  over.abort();
  run.held.socket?.destroy();
  return outcome;
}

async function look(probe: Probe, run: Run): Promise<Result<null, Failure>> {
  switch (probe.kind) {
    case 'http':
      return probeHttp(probe, run);
    case 'dns':
      return probeDns(probe, run);
    case 'tcp': {
      const connection = await openConnection(probe.address, probe.family, run);
      return connection.ok ? ok(null) : connection;
    }
    case 'tls': {
      const { address, family, tls } = probe;
      const connection = await openConnection(address, family, run);
      const secured = connection.ok ? await secure(connection.value, address.host, tls, run) : connection;
      return secured.ok ? ok(null) : secured;
    }
  }
}
