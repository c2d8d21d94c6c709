import { TEXT_LENGTH_MAX, type Inventory } from '@muster/proto/batch';

import manifest from '../package.json' with { type: 'json' };

/** What systeminformation finds out, as far as it is of use here. */
export type Findings = {
  readonly distribution: string;
  readonly release: string;
  readonly kernel: string;
  readonly arch: string;
  readonly cpuManufacturer: string;
  readonly cpuBrand: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly vendor: string;
  readonly model: string;
  readonly virtualHost: string;
};

/**
 * Says what the machine is. Done once, and not for every sample: systeminformation starts dozens of processes, and is
 * loaded only here. Fields that it could not find out are left out.
 */
export async function readInventory(): Promise<Inventory> {
  // Without a PATH it finds none of its tools, says so on our stderr, and returns zeros.
  process.env['PATH'] ||= '/usr/sbin:/usr/bin:/sbin:/bin';
  const { osInfo, cpu, mem, system } = await import('systeminformation');
  const [os, processor, memory, machine] = await Promise.all([osInfo(), cpu(), mem(), system()]);
  return toInventory({
    distribution: os.distro,
    release: os.release,
    kernel: os.kernel,
    arch: os.arch,
    cpuManufacturer: processor.manufacturer,
    cpuBrand: processor.brand,
    cores: processor.cores,
    memoryBytes: memory.total,
    vendor: machine.manufacturer,
    model: machine.model,
    virtualHost: machine.virtualHost ?? '',
  });
}

export function toInventory(findings: Findings): Inventory {
  const { distribution, release, kernel, arch, cpuManufacturer, cpuBrand, vendor, model, virtualHost } = findings;
  const { cores, memoryBytes } = findings;
  const texts = {
    os: join(distribution, release),
    kernel,
    arch,
    cpuModel: join(cpuManufacturer, cpuBrand),
    vendor,
    model,
    virtualization: virtualHost,
    agentVersion: manifest.version,
  };
  const known = Object.entries(texts).map(([key, text]) => [key, clean(text)] as const);
  return {
    ...Object.fromEntries(known.filter(([, text]) => text !== '')),
    ...(isFound(cores) ? { cores } : {}),
    ...(isFound(memoryBytes) ? { memoryBytes } : {}),
  };
}

function join(...texts: readonly string[]): string {
  return texts.map(clean).join(' ').trim();
}

/** What systeminformation, or the maker of the board, puts where nothing is known. */
const NOTHING_PATTERN = /^(unknown|-|n\/a|none|not specified|default string|to be filled by o\.e\.m\.?)$/i;

function clean(text: unknown): string {
  const trimmed = typeof text === 'string' ? text.trim().slice(0, TEXT_LENGTH_MAX) : '';
  return NOTHING_PATTERN.test(trimmed) ? '' : trimmed;
}

function isFound(count: number): boolean {
  return Number.isSafeInteger(count) && count > 0;
}
