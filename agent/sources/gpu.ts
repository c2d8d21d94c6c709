import { readlinkSync } from 'node:fs';
import { basename, join } from 'node:path';

import { ok } from '@muster/proto/result';

import { listDirectory } from '../list-directory.ts';
import { parseCount, tryText } from '../read-text.ts';
import type { Finding, Sample, Source } from '../source.ts';
import { sampleGpu, type Gpu } from './gpu/gpu-sample.ts';
import { watchNvidia, type NvidiaOptions, type NvidiaWatch } from './gpu/nvidia.ts';

const EVERY_MS = 10_000;

export type GpuOptions = {
  readonly root: string;
  /** Null: NVIDIA's cards are not asked, since that takes a program of theirs that runs beside the agent. */
  readonly nvidia: NvidiaOptions | null;
};

/** What graphics cards do: AMD's say it in files of the kernel, NVIDIA's to a program of theirs. */
export function makeGpuSource({ root, nvidia }: GpuOptions): Source {
  let watch: NvidiaWatch | null = null;
  return {
    name: 'gpu',
    everyMs: EVERY_MS,
    read: () => {
      const samples: Sample[] = readAmd(root).flatMap(sampleGpu);
      if (nvidia === null) return ok({ samples });
      watch ??= watchNvidia(nvidia);
      const { gpus, fault } = watch.look();
      samples.push(...gpus.flatMap(sampleGpu));
      return ok({ samples, ...(fault === null ? {} : { remark: fault }) });
    },
    diagnose: async () => findNvidia(root, nvidia !== null),
    close: async () => watch?.close(),
  };
}

/** Source: kernel document gpu/amdgpu/driver-misc: percent, and bytes of the memory on the card. */
export function readAmd(root: string): readonly Gpu[] {
  const directory = join(root, 'sys/class/drm');
  return listDirectory(directory).flatMap((card): Gpu[] => {
    if (!/^card\d+$/.test(card)) return [];
    const device = join(directory, card, 'device');
    const read = (file: string) => parseCount(tryText(join(device, file))?.trimEnd());
    const percent = read('gpu_busy_percent');
    const memoryBytes = read('mem_info_vram_used');
    const memoryBytesMax = read('mem_info_vram_total');
    if (percent === null && memoryBytes === null) return [];
    const name = tryText(join(device, 'product_name'))?.trim() ?? '';
    const busyRatio = percent === null ? null : percent / 100;
    return [{ id: nameDevice(device) ?? card, name: name || 'amdgpu', busyRatio, memoryBytes, memoryBytesMax }];
  });
}

/** Where a card is plugged in; its number changes. */
function nameDevice(link: string): string | null {
  try {
    return basename(readlinkSync(link));
  } catch {
    return null;
  }
}

/** The driver tells the names of its cards in a file, and no more than that. */
function findNvidia(root: string, isAsked: boolean): readonly Finding[] {
  const directory = join(root, 'proc/driver/nvidia/gpus');
  if (isAsked) return [];
  return listDirectory(directory).map((id) => {
    const text = tryText(join(directory, id, 'information')) ?? '';
    const name = /^Model:\s*(.{1,100})$/m.exec(text)?.[1] ?? 'a card';
    return {
      what: `${name} (${id}) tells what it does to NVIDIA's own program only`,
      next: 'sources.gpu.nvidia-smi: true keeps one nvidia-smi running; the drop-in gpu.conf of the service lets it',
    };
  });
}
