import { execFile } from 'node:child_process';
import { readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { expect, onTestFinished, test } from 'vitest';

import { makeRoot } from '../../testing/fixture.ts';
import { makeStat } from '../../testing/process.ts';
import { makeProcessTable } from './table.ts';

const SIZE = 150;

/** Workers of one service, each with 600 of its 1,000 pages shared. */
function makeWorkers(limits: string): string {
  const files: Record<string, string> = { 'proc/uptime': '1000.00 900.00\n', 'proc/self/limits': limits };
  for (let pid = 1; pid <= SIZE; pid += 1) {
    files[`proc/${pid}/stat`] = makeStat({ pid, name: 'nginx', rss: 1_000 });
    files[`proc/${pid}/cgroup`] = '0::/system.slice/nginx.service\n';
    files[`proc/${pid}/statm`] = '9999 1000 600 1 0 1 0\n';
  }
  return makeRoot(files);
}

test.for([
  ['Max open files            100                  4096                 files     \n', 25],
  ['Max open files            unlimited            unlimited            files     \n', SIZE],
  ['', SIZE],
] as const)('of %j descriptors, %i are kept', ([limits, count]) => {
  const root = makeWorkers(limits);
  const table = makeProcessTable({ root, hasArguments: false });
  onTestFinished(table.close);
  expect(table.read().ok).toBe(true);
  const open = readdirSync('/proc/self/fd').filter((descriptor) => {
    try {
      return readlinkSync(`/proc/self/fd/${descriptor}`).startsWith(root);
    } catch {
      return false; // that of the list itself
    }
  });
  expect(open).toHaveLength(count);
});

/**
 * Reads the table while others leave it `left` descriptors, and then while they leave it enough; prints for each the groups,
 * their memory, and how many descriptors it keeps.
 */
const SCARCE = `
  import { closeSync, openSync } from 'node:fs';
  import { makeProcessTable } from ${JSON.stringify(join(import.meta.dirname, 'table.ts'))};
  const [root, left] = process.argv.slice(1);
  const table = makeProcessTable({ root, hasArguments: false });
  const takeAll = () => {
    const taken = [];
    try {
      for (;;) taken.push(openSync('/dev/null', 'r'));
    } catch (cause) {
      if (cause.code !== 'EMFILE') throw cause;
      return taken;
    }
  };
  const free = (descriptors) => descriptors.forEach((descriptor) => closeSync(descriptor));
  const look = () => {
    const reading = table.read();
    const groups = !reading.ok ? [] : Array.from(reading.value.groups, ([labels, { count, amounts }]) => [labels, count, amounts.memory]);
    const room = takeAll();
    free(room);
    return { groups, room: room.length };
  };
  const others = takeAll();
  free(others.splice(0, Number(left)));
  const scarce = look();
  free(others);
  console.log(JSON.stringify({ scarce, plenty: look(), all: others.length + Number(left) }));
`;

test.for([3, 8])(
  'with %i descriptors left, none is kept, and every process is in its group; later some are',
  async (left) => {
    const root = makeWorkers('Max open files            100                  100                  files     \n');
    const limited = ['-c', 'ulimit -n 100; exec "$0" "$@"', process.execPath, '--input-type=module', '-e', SCARCE];
    const { stdout } = await promisify(execFile)('sh', [...limited, root, String(left)]);
    const { scarce, plenty, all } = JSON.parse(stdout);
    const groups = [
      [expect.stringMatching(/nginx,.*systemd.unit.name=nginx.service$/), SIZE, (SIZE * 400 + 600) * 4096],
    ];
    expect(scarce).toEqual({ groups, room: left });
    expect(plenty).toEqual({ groups, room: all - 25 });
  },
);
