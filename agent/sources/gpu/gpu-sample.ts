import { formatLabels } from '@muster/proto/labels';

import { toPlainText } from '../../plain-text.ts';
import { ratioOf } from '../../ratio.ts';
import { remember } from '../../remember.ts';
import type { Sample } from '../../source.ts';

/** What a card says of itself; what it does not is null or not there. */
export type Gpu = {
  readonly id: string;
  readonly name: string;
  readonly busyRatio: number | null;
  readonly memoryBytes: number | null;
  readonly memoryBytesMax: number | null;
  readonly celsius?: number | null;
  readonly watts?: number | null;
  readonly fanRatio?: number | null;
};

const NAME_LENGTH_MAX = 100;
const labelsOf = remember((key) => {
  const [id = '', name = ''] = key.split('\0');
  return formatLabels({ 'hw.id': id, 'hw.name': name });
});

export function sampleGpu(gpu: Gpu): Sample[] {
  const labels = labelsOf(`${toPlainText(gpu.id, NAME_LENGTH_MAX)}\0${toPlainText(gpu.name, NAME_LENGTH_MAX)}`);
  const { memoryBytes, memoryBytesMax } = gpu;
  const memoryRatio = memoryBytes === null || !memoryBytesMax ? null : ratioOf(memoryBytes, memoryBytesMax);
  const values = [
    ['hw.gpu.utilization', gpu.busyRatio === null ? null : ratioOf(gpu.busyRatio, 1)],
    ['hw.gpu.memory.usage', memoryBytes],
    ['hw.gpu.memory.limit', memoryBytesMax],
    ['hw.gpu.memory.utilization', memoryRatio],
    ['hw.temperature', gpu.celsius],
    ['hw.power', gpu.watts],
    ['hw.fan.speed_ratio', gpu.fanRatio],
  ] as const;
  return values.flatMap(([metric, value]): Sample[] => (typeof value === 'number' ? [{ metric, labels, value }] : []));
}
