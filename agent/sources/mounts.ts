import { splitLines } from '../read-text.ts';

/** One line of /proc/PID/mountinfo. `parent` is the `id` of the mount that it is mounted in; `device` is `major:minor`, the same for every mount of one filesystem. */
export type Mount = {
  readonly id: string;
  readonly parent: string;
  readonly device: string;
  readonly mountPoint: string;
  readonly type: string;
  readonly source: string;
  /** The mount, or the whole filesystem, as after an error. */
  readonly isReadOnly: boolean;
};

/** Types that are over several disks, or over flash, and so marked as having none. */
const MULTI_DEVICE_TYPES: ReadonlySet<string> = new Set(['btrfs', 'zfs', 'bcachefs', 'ubifs']);
/** Types whose answers come over the network or from a machine around this one: asking them may never return. */
const REMOTE_TYPES: ReadonlySet<string> = new Set(
  'nfs nfs4 cifs smb3 ceph 9p afs lustre gpfs beegfs glusterfs virtiofs'.split(' '),
);
/** Read-only images: always full, and never to be worried about. */
const IMAGE_TYPES: ReadonlySet<string> = new Set(['squashfs', 'erofs', 'iso9660', 'udf', 'cramfs', 'romfs']);

/**
 * The mounts that hold data, one for each filesystem: of several (bind mounts, subvolumes) the one with the shortest
 * path. The root is kept whatever it is, so that a container (overlay) and a diskless machine (tmpfs) have one.
 *
 * `nodev` are the types that the kernel lists as having no disk, /proc/filesystems: proc, sysfs, tmpfs, overlay, …
 */
export function chooseMounts(mounts: readonly Mount[], nodev: ReadonlySet<string>): Mount[] {
  const chosen = new Map<string, Mount>();
  for (const mount of findVisible(mounts).values()) {
    if (IMAGE_TYPES.has(mount.type) || (mount.mountPoint !== '/' && isPseudo(mount.type, nodev))) continue;
    const other = chosen.get(mount.device);
    if (other === undefined || mount.mountPoint.length < other.mountPoint.length) chosen.set(mount.device, mount);
  }
  return [...chosen.values()];
}

/** What can be seen, by its mount point: of several mounts at one only the last. */
export function findVisible(mounts: readonly Mount[]): ReadonlyMap<string, Mount> {
  return new Map(dropCovered(mounts).map((mount) => [mount.mountPoint, mount]));
}

/**
 * Leaves out what nobody can see or ask: a mount is covered by a later one in the same parent whose mount point is above
 * its own, and with it all that is mounted in it. The kernel lists the mounts as they were made.
 */
function dropCovered(mounts: readonly Mount[]): Mount[] {
  const later = new Set<string>();
  const covered = new Set<Mount>();
  for (const mount of mounts.toReversed()) {
    if (listPathsAbove(mount.mountPoint).some((path) => later.has(`${mount.parent} ${path}`))) covered.add(mount);
    later.add(`${mount.parent} ${mount.mountPoint}`);
  }
  const coveredIds = new Set<string>();
  return mounts.filter((mount) => {
    const isCovered = covered.has(mount) || coveredIds.has(mount.parent);
    if (isCovered) coveredIds.add(mount.id);
    return !isCovered;
  });
}

/** `/a/b` → `/`, `/a` */
function listPathsAbove(path: string): string[] {
  const ends = [...path.matchAll(/\//g)].map(({ index }) => index);
  return path === '/' ? [] : ends.map((end) => path.slice(0, end) || '/');
}

function isPseudo(type: string, nodev: ReadonlySet<string>): boolean {
  return nodev.has(type) && !MULTI_DEVICE_TYPES.has(type) && !isRemote(type);
}

/** In user space. */
export function isFuse(type: string): boolean {
  return type === 'fuse' || type === 'fuseblk' || type.startsWith('fuse.');
}

/** A filesystem over the network, or in user space (fuse.sshfs). */
export function isRemote(type: string): boolean {
  return REMOTE_TYPES.has(type) || isFuse(type);
}

/** Source: kernel document filesystems/proc, section 3.5: `36 35 98:0 /root /mnt rw shared:1 - ext3 /dev/root rw`. */
export function parseMounts(text: string): Mount[] {
  const mounts: Mount[] = [];
  for (const line of splitLines(text)) {
    const columns = line.split(' ');
    const dash = columns.indexOf('-', 6); // optional fields, none to many, end at the dash
    const [id, parent, device, , mountPoint, options = ''] = columns;
    const [type, source, ofAll = ''] = dash === -1 ? [] : columns.slice(dash + 1);
    if (
      id === undefined ||
      parent === undefined ||
      device === undefined ||
      mountPoint === undefined ||
      type === undefined ||
      source === undefined
    )
      continue;
    mounts.push({
      id,
      parent,
      device,
      mountPoint: unescapeOctal(mountPoint),
      type: unescapeOctal(type),
      source: unescapeOctal(source),
      isReadOnly: [options, ofAll].some((list) => list.split(',').includes('ro')),
    });
  }
  return mounts;
}

/** The types marked `nodev` in /proc/filesystems. */
export function parseNodev(text: string): Set<string> {
  return new Set(splitLines(text).flatMap((line) => /^nodev\t(\S+)$/.exec(line)?.[1] ?? []));
}

/** The kernel writes space, tab, newline, backslash and # as three octal digits: `\040`. Source: mangle() in fs/proc. */
function unescapeOctal(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_whole, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}
