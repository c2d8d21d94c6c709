import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { makeRoot } from '../../testing/fixture.ts';
import { makeGuestFilter } from './guest.ts';

type Entries = Readonly<Record<string, string>>;

/** As sysfs shows them. Source: kernel document ABI/testing/sysfs-class-net, drivers/net/tun.c (tun_flags). */
const ethernet = (ifindex: number, iflink = ifindex): Entries => ({
  ifindex: `${ifindex}\n`,
  iflink: `${iflink}\n`,
  type: '1\n',
  uevent: `INTERFACE=x\nIFINDEX=${ifindex}\n`,
});
const CARD = { ...ethernet(2), 'device/vendor': '0x8086\n' };

function makeSysfs(interfaces: Readonly<Record<string, Entries>>): string {
  const files = Object.entries(interfaces).flatMap(([name, entries]) =>
    Object.entries(entries).map(([file, text]) => [`sys/class/net/${name}/${file}`, text] as const),
  );
  return makeRoot(Object.fromEntries(files));
}

test.for([
  // what, its entries in sysfs, whether it stays on a host
  ['a pod of Calico', ethernet(9, 3), false],
  ['a pod of Cilium, of the same number in there', ethernet(9, 2), false],
  ['a virtual machine of libvirt', { ...ethernet(9), tun_flags: '0x5002\n' }, false],
  ['a VPN that carries packets', { ...ethernet(9), tun_flags: '0x1001\n' }, true],
  ['a tap whose flags cannot be read', { ...ethernet(9), tun_flags: '' }, true],
  ['a bridge', { ...ethernet(9), uevent: 'DEVTYPE=bridge\n' }, true],
  ['a VLAN', { ...ethernet(9, 2), uevent: 'DEVTYPE=vlan\nIFINDEX=9\n', lower_eth0: '' }, true],
  ['a macvlan', { ...ethernet(9, 2), lower_eth0: '' }, true],
  ['VXLAN on old kernels', { ...ethernet(9, 2), uevent: 'DEVTYPE=vxlan\n' }, true],
  ['a tunnel', { ...ethernet(9, 2), type: '768\n' }, true],
  ['a tunnel that is tied to nothing', { ...ethernet(9, 0), type: '778\n' }, true],
  ['WireGuard', { ...ethernet(9), type: '65534\n' }, true],
  ['a virtual function with a device', { ...ethernet(9, 3), 'device/vendor': '' }, true],
  ['what says nothing', {}, true],
  ['garbage', { ifindex: 'x', iflink: '-1', type: '1\n' }, true],
] as const)('of a host %s: %o, stays %s', ([, entries, stays]) => {
  const filter = makeGuestFilter(makeSysfs({ eth0: CARD, other: entries }));
  expect(filter([{ name: 'eth0' }, { name: 'other' }]).map(({ name }) => name)).toEqual(
    stays ? ['eth0', 'other'] : ['eth0'],
  );
});

test('in a container its own interface stays, which is one of a pair too', () => {
  const filter = makeGuestFilter(makeSysfs({ eth0: ethernet(2, 17) }));
  expect(filter([{ name: 'eth0' }])).toEqual([{ name: 'eth0' }]);
});

test('what an interface is is looked at again from time to time: its name may be taken over', () => {
  const root = makeSysfs({ eth0: CARD, other: ethernet(9) });
  const filter = makeGuestFilter(root);
  const count = () => filter([{ name: 'eth0' }, { name: 'other' }]).length;
  expect(count()).toBe(2);
  writeFileSync(join(root, 'sys/class/net/other/iflink'), '3\n');
  const counts = Array.from({ length: 100 }, count);
  expect([counts[0], counts.at(-1)]).toEqual([2, 1]);
});
