/** What befalls a host at an instant, beyond what it does by itself. Causes add up. */
export type Effects = {
  /** Of all its cores: work that nobody asks for. */
  cpu: number;
  /** Of all its cores: what others on the same machine take. */
  steal: number;
  memoryBytes: number;
  /** On the filesystem of its data. */
  diskBytes: number;
  /** The machine is off; planned: it was shut down in order. */
  isOff: boolean;
  isPlanned: boolean;
  /** Nothing of it reaches the collector. */
  isCutOff: boolean;
  /** How far its clock is ahead. */
  clockMs: number;
  /** By how much more all of its services take. */
  slowness: number;
  /** How often the kernel has killed a process for want of memory. */
  oomKills: number;
};

/** What befalls a service, wherever it runs. `expiryMs`: when its certificate ends; null: it is renewed in time. */
export type ServiceEffects = { slowness: number; failedRatio: number; expiryMs: number | null };

/** What has befallen a container: how often it was started again, and whether it is down between two starts. */
export type ContainerEffects = { restarts: number; isDown: boolean };

export function makeEffects(): Effects {
  return {
    cpu: 0,
    steal: 0,
    memoryBytes: 0,
    diskBytes: 0,
    isOff: false,
    isPlanned: false,
    isCutOff: false,
    clockMs: 0,
    slowness: 1,
    oomKills: 0,
  };
}
