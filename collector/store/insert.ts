import type { EventRow, SampleBlock } from '../domain/samples.ts';
import type { Engine } from './store.ts';

/** Stores a block of samples; writing it again changes nothing. */
export async function insertSamples(engine: Engine, block: SampleBlock): Promise<void> {
  if (block.rows === 0) return;
  await engine.insert('samples', block.rows, [
    { name: 'metric', type: 'LowCardinality(String)', values: block.metric },
    { name: 'host', type: 'LowCardinality(String)', values: block.host },
    { name: 'labels', type: 'LowCardinality(String)', values: block.labels },
    { name: 'ts', type: "DateTime64(3, 'UTC')", values: block.tsMs },
    { name: 'value', type: 'Float64', values: block.value },
  ]);
}

/** Stores events; writing one again changes nothing. */
export async function insertEvents(engine: Engine, events: readonly EventRow[]): Promise<void> {
  if (events.length === 0) return;
  await engine.insert('events', events.length, [
    { name: 'host', type: 'String', values: events.map(({ host }) => host) },
    { name: 'ts', type: "DateTime64(3, 'UTC')", values: events.map(({ tsMs }) => tsMs) },
    { name: 'kind', type: 'String', values: events.map(({ kind }) => kind) },
    { name: 'body', type: 'String', values: events.map(({ body }) => body) },
  ]);
}
