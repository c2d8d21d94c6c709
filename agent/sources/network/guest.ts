import { join } from 'node:path';

import { listDirectory } from '../../list-directory.ts';
import { parseCount, tryText } from '../../read-text.ts';

/** How often it is looked at again what an interface is, while it is there: its name may have been taken over. */
const LOOK_EVERY = 60;

type Look = { readonly hasDevice: boolean; readonly isGuest: boolean };

/**
 * Leaves out the host's ends of the networks of containers, pods and virtual machines, whatever their names: they come
 * and go with these, and each would be series of its own. Where no interface has a device this is no host but a
 * container, whose own interface looks the same, and all stay.
 */
export function makeGuestFilter(root: string) {
  let looks: ReadonlyMap<string, Look> = new Map();
  let reads = 0;
  return <T extends { readonly name: string }>(interfaces: readonly T[]): readonly T[] => {
    const known = reads % LOOK_EVERY === 0 ? null : looks;
    reads += 1;
    looks = new Map(interfaces.map(({ name }) => [name, known?.get(name) ?? look(root, name)]));
    const isHost = [...looks.values()].some(({ hasDevice }) => hasDevice);
    return isHost ? interfaces.filter(({ name }) => looks.get(name)?.isGuest !== true) : interfaces;
  };
}

function look(root: string, name: string): Look {
  const directory = join(root, 'sys/class/net', name);
  const entries = listDirectory(directory);
  if (entries.includes('device')) return { hasDevice: true, isGuest: false };
  if (entries.some((entry) => entry.startsWith('lower_'))) return { hasDevice: false, isGuest: false };
  const read = (file: string) => tryText(join(directory, file))?.trim() ?? '';
  const isGuest = entries.includes('tun_flags') ? isTap(read('tun_flags')) : isPeer(read);
  return { hasDevice: false, isGuest };
}

/** Frames, as machines send them, and not packets, as tunnels do. Source: include/uapi/linux/if_tun.h, IFF_TAP. */
function isTap(flags: string): boolean {
  return /^0x[0-9a-f]{1,8}$/.test(flags) && (Number(flags) & 0x2) !== 0;
}

const ETHERNET = '1';

/**
 * One of a pair (veth), whose other end is somewhere else. Source: kernel document ABI/testing/sysfs-class-net: `iflink`
 * is the number of what an interface is tied to, its own where that is nothing, and of a tunnel 0. Tunnels and VLANs that
 * are tied to a card have another type, or name their kind in `uevent`, or the card as `lower_*`.
 */
function isPeer(read: (file: string) => string): boolean {
  const own = parseCount(read('ifindex'));
  const tied = parseCount(read('iflink'));
  if (own === null || tied === null || tied === 0 || tied === own) return false;
  return read('type') === ETHERNET && !/^DEVTYPE=/m.test(read('uevent'));
}
