import { decodeBatch, encodeBatch } from '@muster/proto/batch';
import { expect, test } from 'vitest';

import { readInventory, toInventory } from './inventory.ts';

const NOTHING = {
  distribution: 'unknown',
  release: 'unknown',
  kernel: '',
  arch: '',
  cpuManufacturer: '',
  cpuBrand: '',
  cores: 0,
  memoryBytes: 0,
  vendor: '-',
  model: 'To Be Filled By O.E.M.',
  virtualHost: '',
};

test('toInventory() leaves out what could not be found out', () => {
  expect(Object.keys(toInventory(NOTHING))).toEqual(['agentVersion']);
});

test('readInventory() describes this machine in a form that travels', async () => {
  const info = await readInventory();
  expect(info).toMatchObject({ kernel: expect.any(String), cores: expect.any(Number), agentVersion: '0.1.0' });
  const batch = { epoch: 1, seq: 1, sentMs: 1, ticksMs: [], series: [], values: new Float64Array(0), info };
  expect(decodeBatch(encodeBatch(batch))).toMatchObject({ ok: true, value: { info } });
});
