import { expect, test } from 'vitest';

import { openTestStore } from '../test-store.ts';
import { ENGINE_SETTINGS, formatEngineSettings } from './engine-settings.ts';

test.for([
  [{}, '<clickhouse></clickhouse>'],
  [{ a: 1, 'b/c': 'x', 'b/d/e': 2 }, '<clickhouse><a>1</a><b><c>x</c><d><e>2</e></d></b></clickhouse>'],
  [{ 'b/path': '/a<b>&c' }, '<clickhouse><b><path>/a&lt;b&gt;&amp;c</path></b></clickhouse>'],
] as const)('formatEngineSettings(%o)', ([settings, text]) => {
  expect(formatEngineSettings(settings)).toBe(`${text}\n`);
});

test('the engine takes each of our settings, but for what is given at its opening', async () => {
  const { engine, close } = await openTestStore({ mark_cache_size: 99_000_000 });
  const names = Object.keys(ENGINE_SETTINGS);
  const rows = await engine.query(
    'SELECT name, value FROM system.server_settings WHERE name IN {names:Array(String)} ORDER BY name',
    { names },
  );
  await close();
  const expected = Object.entries({ ...ENGINE_SETTINGS, mark_cache_size: 99_000_000 });
  expect(Object.fromEntries(rows.map((row) => [row['name'], row['value']]))).toEqual(
    Object.fromEntries(expected.map(([name, value]) => [name, String(value)])),
  );
});
