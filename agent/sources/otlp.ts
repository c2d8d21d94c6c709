import { formatLabels } from '@muster/proto/labels';
import { err, ok } from '@muster/proto/result';

import { makeIntake } from '../custom/intake.ts';
import { ADDRESS_DEFAULT, describeFault, describeOpen, formatEndpoint, type ListenSettings } from '../custom/listen.ts';
import type { SeriesPool } from '../custom/series.ts';
import { remember } from '../remember.ts';
import type { ReadResult, Source } from '../source.ts';
import { openServer, type OtlpServer } from './otlp/server.ts';

export const OTLP_PORT = 4318;
/** A port that was taken is tried again so often. */
const RETRY_MS = 30_000;

export type OtlpOptions = {
  readonly settings: ListenSettings;
  readonly pool: SeriesPool;
  readonly root: string;
  readonly now: () => number;
};

/** What services of the host export as OTLP over HTTP. */
export async function openOtlpSource({ settings, pool, root, now }: OtlpOptions): Promise<Source> {
  const { limit, port = OTLP_PORT } = settings;
  const address = settings['remote-address'] ?? settings.address ?? ADDRESS_DEFAULT;
  const endpoint = formatEndpoint(address, port);
  const keeper = pool.open('otlp', limit);
  const intake = makeIntake(keeper);
  const answers = new Map<number, number>();
  const labelsOf = remember((status) => formatLabels({ 'http.response.status_code': status }));
  let server = await listen();
  let fault = describe();
  let triedMs = now();

  function listen(): Promise<OtlpServer> {
    return openServer({
      address,
      port,
      take: (points) => intake.take(points, now()),
      onAnswer: (status) => void answers.set(status, (answers.get(status) ?? 0) + 1),
      nowMs: () => performance.now(),
    });
  }

  function describe(): string | null {
    const found = server.fault();
    return found === null ? null : describeFault(root, { protocol: 'tcp', endpoint, port }, found);
  }

  function read(nowMs: number): ReadResult {
    const told = intake.read(nowMs);
    if (fault !== null && told.length === 0) return err(fault);
    const { samples, remark, events } = keeper.report(nowMs);
    const requests = Array.from(answers, ([status, value]) => ({
      metric: 'muster.agent.otlp.requests' as const,
      labels: labelsOf(String(status)),
      value,
    }));
    const remarks = [fault, remark].filter((one) => one !== null);
    return ok({
      samples: [...told, ...samples, ...requests],
      events,
      ...(remarks.length === 0 ? {} : { remark: remarks.join('; ') }),
    });
  }

  return {
    name: 'otlp',
    read: () => {
      const nowMs = now();
      if (fault === null && server.fault() !== null) fault = describe();
      if (fault === null || Math.abs(nowMs - triedMs) < RETRY_MS) return read(nowMs);
      triedMs = nowMs;
      return server
        .close()
        .then(listen)
        .then((opened) => {
          server = opened;
          fault = describe();
          return read(nowMs);
        });
    },
    diagnose: async () =>
      fault === null ? [describeOpen('tcp', address, `${endpoint}/v1/metrics`)] : [{ what: fault }],
    close: async () => {
      keeper.close();
      await server.close();
    },
  };
}
