/** The kinds of use by which processes are compared. */
export const USES = ['cpu', 'memory', 'disk'] as const;
export type Use = (typeof USES)[number];

/** One process, and how much of something it uses. */
export type Culprit = { readonly pid: number; readonly startTicks: number; readonly amount: number };

/**
 * Processes with the same labels. CPU in cores and disk in bytes a second since the last reading, memory in bytes: what
 * each has of its own, and once the most that one of them shares.
 */
export type Group = {
  count: number;
  ownBytes: number;
  sharedBytesMax: number;
  readonly amounts: Record<Use, number>;
  readonly culprits: Record<Use, Culprit | null>;
};

/** What one process uses; of its memory, `sharedBytes` may be used by others too. */
export type Used = Readonly<Record<Use, number>> & {
  readonly pid: number;
  readonly startTicks: number;
  readonly sharedBytes: number;
};

export function addTo(groups: Map<string, Group>, labels: string, used: Used): void {
  const group = groups.get(labels) ?? makeGroup();
  if (group.count === 0) groups.set(labels, group);
  const sharedBytes = Math.min(used.memory, used.sharedBytes);
  group.count += 1;
  group.ownBytes += used.memory - sharedBytes;
  group.sharedBytesMax = Math.max(group.sharedBytesMax, sharedBytes);
  group.amounts.cpu += used.cpu;
  group.amounts.disk += used.disk;
  // Adding up resident memory would count what many share, such as the buffers of a database, once for each of them.
  group.amounts.memory = group.ownBytes + group.sharedBytesMax;
  for (const use of USES) {
    const amount = used[use];
    if (amount > (group.culprits[use]?.amount ?? 0)) {
      group.culprits[use] = { pid: used.pid, startTicks: used.startTicks, amount };
    }
  }
}

function makeGroup(): Group {
  const amounts = { cpu: 0, memory: 0, disk: 0 };
  return { count: 0, ownBytes: 0, sharedBytesMax: 0, amounts, culprits: { cpu: null, memory: null, disk: null } };
}
