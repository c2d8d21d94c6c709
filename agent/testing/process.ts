export type ProcessFixture = {
  readonly pid: number;
  readonly name: string;
  readonly state?: string;
  readonly flags?: number;
  readonly utime?: number;
  readonly threads?: number;
  readonly start?: number;
  readonly rss?: number;
};

/** The text of /proc/PID/stat, its columns in the order of proc_pid_stat(5). */
export function makeStat({
  pid,
  name,
  state = 'S',
  flags = 0x400000,
  utime = 0,
  threads = 1,
  start = 100,
  rss = 10,
}: ProcessFixture): string {
  const before = `${pid} (${name}) ${state} 1 1 1 0 -1 ${flags} 98 0 0 0 ${utime} 0 0 0 20 0 ${threads} 0 ${start}`;
  return `${before} 3133440 ${rss} 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n`;
}
