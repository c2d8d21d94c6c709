import type { ChildProcess } from 'node:child_process';
import { readFileSync, renameSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';

import fc from 'fast-check';
import { afterEach, expect, test } from 'vitest';

import { anyTextLike } from '../testing/any-text.ts';
import { findSampleFault, makeRoot, readSamples } from '../testing/fixture.ts';
import { makeProgram } from '../testing/program.ts';
import type { Source } from '../source.ts';
import { makeGpuSource, type GpuOptions } from './gpu.ts';
import { sampleGpu } from './gpu/gpu-sample.ts';
import { parseGpu } from './gpu/nvidia.ts';

const opened: Source[] = [];
afterEach(async () => {
  for (const source of opened.splice(0)) await source.close?.();
});

function openSource(options: GpuOptions): Source {
  const source = makeGpuSource(options);
  opened.push(source);
  return source;
}

// Source: kernel document gpu/amdgpu/driver-misc.
const AMD = {
  'sys/class/drm/card0/device/gpu_busy_percent': '37\n',
  'sys/class/drm/card0/device/mem_info_vram_used': '2147483648\n',
  'sys/class/drm/card0/device/mem_info_vram_total': '8589934592\n',
  'sys/class/drm/card0-HDMI-A-1/status': 'connected\n',
  'sys/class/drm/card1/device/vendor': '0x8086\n',
  'sys/class/drm/renderD128/device/gpu_busy_percent': '37\n',
};

// Lines as nvidia-smi documents them: memory in MiB, power in W, what a card does not know in brackets.
const T4 = '00000000:65:00.0, Tesla T4, 37, 1042, 15360, 51, 34.21, [N/A]';
const RTX = '00000000:B3:00.0, NVIDIA GeForce RTX 3090, 0, 1, 24576, 30, 105.50, 41';
const SILENT = '00000000:17:00.0, NVIDIA A2, [Unknown Error], [N/A], [N/A], [N/A], [Not Supported], [N/A]';

test('AMD says in files what a card does', async () => {
  const root = makeRoot(AMD);
  const card = join(root, 'sys/class/drm/card0/device');
  renameSync(card, join(root, '0000:03:00.0'));
  symlinkSync('../../../../0000:03:00.0', card);
  const labels = '{hw.id=0000:03:00.0,hw.name=amdgpu}';
  expect(await readSamples(openSource({ root, nvidia: null }))).toEqual({
    [`hw.gpu.utilization${labels}`]: 0.37,
    [`hw.gpu.memory.usage${labels}`]: 2 ** 31,
    [`hw.gpu.memory.limit${labels}`]: 2 ** 33,
    [`hw.gpu.memory.utilization${labels}`]: 0.25,
  });
});

test.for([
  [
    T4,
    {
      id: '00000000:65:00.0',
      name: 'Tesla T4',
      busyRatio: 0.37,
      memoryBytes: 1042 * 2 ** 20,
      memoryBytesMax: 15_360 * 2 ** 20,
      celsius: 51,
      watts: 34.21,
      fanRatio: null,
    },
  ],
  ['', null],
  ['No devices were found', null],
  ['NVIDIA-SMI has failed because it couldn’t communicate with the NVIDIA driver.', null],
  [T4.slice(0, 30), null],
  [`${T4}, 7`, null],
] as const)('parseGpu(%o)', ([line, gpu]) => {
  expect(parseGpu(line)).toEqual(gpu);
});

test('one program runs beside the agent, says what NVIDIA’s cards do, and ends with the source', async () => {
  const program = makeProgram(`echo $$ >> "$0.pid"; echo '${T4}'; echo '${SILENT}'; echo '${RTX}'; exec sleep 600`);
  const source = openSource({ root: makeRoot({}), nvidia: { program, now: () => 0 } });
  await expect.poll(async () => Object.keys(await readSamples(source)).length, { timeout: 10_000 }).toBe(13);
  expect(await readSamples(source)).toMatchObject({
    'hw.gpu.utilization{hw.id=00000000:65:00.0,hw.name=Tesla T4}': 0.37,
    'hw.fan.speed_ratio{hw.id=00000000:B3:00.0,hw.name=NVIDIA GeForce RTX 3090}': 0.41,
  });
  await source.close?.();
  const pids = readFileSync(`${program}.pid`, 'utf8').trim().split('\n');
  expect(pids).toHaveLength(1);
  expect(() => process.kill(Number(pids[0]), 0)).toThrow('ESRCH');
});

test('a source that is closed starts no program any more', async () => {
  const makeCounted = () => makeProgram(`echo x >> "$0.runs"; echo '${T4}'; exec sleep 600`);
  const [program, other] = [makeCounted(), makeCounted()];
  let nowMs = 0;
  const open = (path: string) => openSource({ root: makeRoot({}), nvidia: { program: path, now: () => nowMs } });
  const hasRun = async (source: Source) =>
    expect.poll(async () => Object.keys(await readSamples(source)).length, { timeout: 10_000 }).toBe(6);
  const source = open(program);
  await hasRun(source);
  await source.close?.();
  nowMs += 3_600_000;
  await source.read();
  await hasRun(open(other)); // by then one that was started before would have run too
  expect(readFileSync(`${program}.runs`, 'utf8')).toBe('x\n');
});

test('a program that ends is started again after a minute, and what it said is soon no longer told', async () => {
  const program = makeProgram(`echo x >> "$0.runs"; echo '${T4}'; exit 3`);
  let nowMs = 1_000_000;
  const source = openSource({ root: makeRoot({}), nvidia: { program, now: () => nowMs } });
  const countRuns = () => readFileSync(`${program}.runs`, 'utf8').trim().split('\n').length;
  await expect.poll(async () => Object.keys(await readSamples(source)).length, { timeout: 10_000 }).toBe(6);
  nowMs += 30_000;
  await expect
    .poll(async () => await source.read(), { timeout: 10_000 })
    .toMatchObject({ value: { samples: [], remark: 'nvidia-smi has ended with 3' } });
  expect(countRuns()).toBe(1);
  nowMs += 40_000;
  await expect.poll(async () => Object.keys(await readSamples(source)).length, { timeout: 10_000 }).toBe(6);
  expect(countRuns()).toBe(2);
});

test('a program that says nothing for a minute is ended, and started again', async () => {
  const program = makeProgram(
    `echo x >> "$0.runs"; if [ $(wc -l < "$0.runs") = 2 ]; then echo '${T4}'; fi; exec sleep 600`,
  );
  let nowMs = 1_000_000;
  const source = openSource({ root: makeRoot({}), nvidia: { program, now: () => nowMs } });
  const countRuns = () => readFileSync(`${program}.runs`, { encoding: 'utf8', flag: 'a+' }).length / 2;
  await source.read();
  await expect.poll(countRuns, { timeout: 10_000 }).toBe(1);
  nowMs += 59_000;
  expect(await source.read()).toMatchObject({ value: { remark: 'nvidia-smi has said nothing yet' } });
  nowMs += 1_000;
  await expect.poll(async () => Object.keys(await readSamples(source)).length, { timeout: 10_000 }).toBe(6);
  expect(countRuns()).toBe(2);
  nowMs -= 3_600_000; // a clock that is set back ends none
  expect(await source.read()).toMatchObject({ value: { remark: 'nvidia-smi is silent' } });
  nowMs += 3_500_000;
  await expect
    .poll(async () => await source.read(), { timeout: 10_000 })
    .toMatchObject({ value: { remark: 'nvidia-smi was silent, and was ended' } });
});

test('a program that cannot be ended is joined by no second one, and holds up no end', async () => {
  const program = makeProgram('echo $$ >> "$0.pid"; exec sleep 600');
  const killed: ChildProcess[] = [];
  let nowMs = 0;
  const kill = (child: ChildProcess) => killed.push(child);
  const source = openSource({ root: makeRoot({}), nvidia: { program, now: () => nowMs, kill } });
  await source.read();
  const readPids = () => readFileSync(`${program}.pid`, { encoding: 'utf8', flag: 'a+' }).trim();
  await expect.poll(readPids, { timeout: 10_000 }).not.toBe('');
  for (const _ of [1, 2]) {
    nowMs += 3_600_000;
    expect(await source.read()).toMatchObject({ value: { remark: expect.stringContaining('does not end') } });
  }
  expect(new Set(killed).size).toBe(1);
  await source.close?.();
  expect(killed).toHaveLength(3);
  for (const child of killed) child.kill('SIGKILL');
  expect(readPids()).toBe(String(killed[0]?.pid));
});

test('a program that is not there is a remark', async () => {
  const source = openSource({ root: makeRoot({}), nvidia: { program: '/nowhere/nvidia-smi', now: () => 0 } });
  await expect
    .poll(async () => await source.read(), { timeout: 10_000 })
    .toMatchObject({ value: { remark: expect.stringContaining('cannot be started') } });
});

test('diagnose() names NVIDIA’s cards that are not asked', async () => {
  const root = makeRoot({ 'proc/driver/nvidia/gpus/0000:65:00.0/information': 'Model: \t\t Tesla T4\nIRQ:   11\n' });
  expect(await openSource({ root, nvidia: null }).diagnose?.()).toMatchObject([
    { what: expect.stringContaining('Tesla T4 (0000:65:00.0)'), next: expect.stringContaining('nvidia-smi: true') },
  ]);
});

test('whatever a card or a program says, what is told is legal', () => {
  fc.assert(
    fc.property(anyTextLike(T4), (line) => {
      const gpu = parseGpu(line);
      expect(gpu === null ? [] : sampleGpu(gpu).flatMap((sample) => findSampleFault(sample) ?? [])).toEqual([]);
    }),
  );
});
