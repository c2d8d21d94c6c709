import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { makeRoot, readSamples } from '../testing/fixture.ts';
import { makeFrequencySource } from './frequency.ts';

// Files as kernel document admin-guide/pm/cpufreq describes them: kHz.
const CPU = 'sys/devices/system/cpu';

test('the frequency source reads the cores that say what they run at', async () => {
  const root = makeRoot({
    [`${CPU}/cpu0/cpufreq/scaling_cur_freq`]: '2400000\n',
    [`${CPU}/cpu12/cpufreq/scaling_cur_freq`]: '799998\n',
    [`${CPU}/cpu2/cpufreq/scaling_cur_freq`]: '<unknown>\n',
    [`${CPU}/cpu3/cpufreq/scaling_cur_freq`]: '',
    [`${CPU}/cpu4/cpufreq/scaling_cur_freq`]: '0\n',
    [`${CPU}/cpuidle/current_driver`]: 'none\n',
    [`${CPU}/online`]: '0-4\n',
  });
  mkdirSync(join(root, CPU, 'cpu5/cpufreq/scaling_cur_freq'), { recursive: true });
  expect(await readSamples(makeFrequencySource(root))).toEqual({
    'system.cpu.frequency{cpu=0}': 2.4e9,
    'system.cpu.frequency{cpu=12}': 799_998_000,
  });
});

test('a virtual machine has none', async () => {
  expect(await readSamples(makeFrequencySource(makeRoot({})))).toEqual({});
});
