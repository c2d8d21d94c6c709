/** What a program that the agent starts is given of our environment: only where programs are. */
export function childEnvironment(): Record<string, string> {
  return { PATH: process.env['PATH'] ?? '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' };
}
