import { decodeBatch, encodeBatch } from '@muster/proto/batch';
import fc from 'fast-check';
import { expect, test } from 'vitest';

import { makeRoot } from '../testing/fixture.ts';
import { findHypervisor, parseCpuModel, parseRelease, readInventory } from './inventory.ts';

test.for([
  // /etc/os-release, after os-release(5) and what distributions ship
  ['PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian GNU/Linux"\n', 'Debian GNU/Linux 12 (bookworm)'],
  ["NAME='Alpine Linux'\nID=alpine\n", 'Alpine Linux'],
  ['NAME=Fedora\n', 'Fedora'],
  ['PRETTY_NAME="A \\"quoted\\" name"\n', 'A "quoted" name'],
  ['# nothing\nID=x\n', ''],
  ['', ''],
] as const)('parseRelease(%o) is %o', ([text, name]) => {
  expect(parseRelease(text)).toBe(name);
});

const X86 = 'processor\t: 0\nmodel name\t: AMD  EPYC 7763\nflags\t\t: fpu hypervisor sse\n\nprocessor\t: 1\n';
const ARM = 'processor\t: 0\nBogoMIPS\t: 50.00\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n';
const POWER = 'processor\t: 0\ncpu\t\t: POWER9, altivec supported\n';

test.for([
  [X86, 'AMD EPYC 7763'],
  [ARM, ''],
  [POWER, 'POWER9, altivec supported'],
  ['', ''],
] as const)('parseCpuModel(%o) is %o', ([text, model]) => {
  expect(parseCpuModel(text)).toBe(model);
});

test.for([
  // flags of the processor, maker, type of the hypervisor, what it is
  [X86, 'QEMU', '', 'KVM'],
  [X86, 'Microsoft Corporation', '', 'Hyper-V'],
  [X86, 'Amazon EC2', '', 'KVM'],
  [X86, '', '', 'virtual'],
  [ARM, 'QEMU', '', 'KVM'],
  [ARM, 'Microsoft Corporation', '', ''], // a Surface
  [POWER, 'Dell Inc.', '', ''],
  [X86, 'Xen', 'xen\n', 'Xen'],
] as const)('findHypervisor(%o, %s, %o) is %o', ([cpus, vendor, type, expected]) => {
  expect(findHypervisor(cpus, vendor, type)).toBe(expected);
});

test('readInventory() tells what there is, and leaves out what there is not', async () => {
  const root = makeRoot({
    'etc/os-release': 'PRETTY_NAME="Debian GNU/Linux 12"\n',
    'proc/cpuinfo': X86,
    'proc/meminfo': 'MemTotal: 1024 kB\nMemFree: 512 kB\n',
    'proc/sys/kernel/osrelease': '6.1.0-13-amd64\n',
    'sys/class/dmi/id/sys_vendor': 'To Be Filled By O.E.M.\n',
    'sys/class/dmi/id/product_name': 'PowerEdge R650\n',
  });
  const arch = process.arch;
  expect(await readInventory(root)).toEqual({
    os: 'Debian GNU/Linux 12',
    kernel: '6.1.0-13-amd64',
    arch,
    cpuModel: 'AMD EPYC 7763',
    model: 'PowerEdge R650',
    virtualization: 'virtual',
    agentVersion: '0.1.0',
    cores: 2,
    memoryBytes: 1024 * 1024,
  });
  expect(await readInventory(makeRoot({}))).toEqual({ arch, agentVersion: '0.1.0' });
  expect(await readInventory(makeRoot({ 'run/.containerenv': '' }))).toMatchObject({ virtualization: 'podman' });
});

test('readInventory() describes this machine, and any other, in a form that travels', async () => {
  const travel = async (root: string) => {
    const info = await readInventory(root);
    const batch = { epoch: 1, seq: 1, sentMs: 1, ticksMs: [], series: [], values: new Float64Array(0), info };
    expect(decodeBatch(encodeBatch(batch))).toMatchObject({ ok: true, value: { info } });
    return info;
  };
  expect(await travel('/')).toMatchObject({ kernel: expect.any(String), cores: expect.any(Number) });
  await fc.assert(
    fc.asyncProperty(fc.string({ maxLength: 1_000 }), async (text) => {
      const files = ['etc/os-release', 'proc/sys/kernel/osrelease', 'sys/class/dmi/id/sys_vendor', 'proc/cpuinfo'];
      await travel(
        makeRoot(Object.fromEntries(files.map((path) => [path, `PRETTY_NAME=${text}\nmodel name:${text}\n`]))),
      );
    }),
    { numRuns: 30 },
  );
});
