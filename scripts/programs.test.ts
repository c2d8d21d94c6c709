import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

import { expect, test } from 'vitest';

async function run(program: string, args: readonly string[]) {
  const child = spawn(process.execPath, [join(import.meta.dirname, `${program}.ts`), ...args]);
  const [said, faults, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { said, faults, code: Number(code) };
}

/** Each with an option that cannot be so, and what is said of it. */
test.for([
  ['agent-cost', ['--interval', '61'], '--interval must be a whole number from 1 to 60, was "61"'],
  ['agent-disk-full', ['--cycles', '0'], '--cycles must be a whole number of 1 or more, was "0"'],
  ['bombs', ['--agents', '1000'], '--agents must be a whole number from 1 to 900, was "1000"'],
  ['build-agent', ['--only', 'linux-x32'], '--only must be linux-x64 or linux-arm64, was "linux-x32"'],
  ['clickhouse-server', ['--user', 'muster'], '--user must be a name and a password as muster:secret, was "muster"'],
  ['migrate-store', ['--overwrite', 'all'], '--overwrite must be true or false, was "all"'],
  ['chaos', ['--drop-replies', '2'], '--drop-replies must be a number from 0 to 1, was "2"'],
  ['disk-full', ['--cycles', '26'], '--cycles must be a whole number from 1 to 25, was "26"'],
  ['fault-proxy', ['--cut', 'half'], '--cut must be a number from 0 to 1, was "half"'],
  ['fuzz-ingest', ['--count', '1.5'], '--count must be a whole number of 1 or more, was "1.5"'],
  ['herd', ['--away', '0'], '--away must be a whole number of 1 or more, was "0"'],
  ['power-loss', ['--durability', 'none'], '--durability must be process or power-loss, was "none"'],
  ['service-proof', ['--agents', ''], '--agents must be a text, was ""'],
  ['build-deb', ['--agents', ''], '--agents must be a text, was ""'],
  ['spool-damage', ['--rounds', '-1'], '--rounds must be a whole number of 1 or more, was "-1"'],
] as const)('%s says what it is for, and what is wrong with an option', async ([program, args, fault]) => {
  const [help, wrong] = await Promise.all([run(program, ['--help']), run(program, [...args, '--colour'])]);
  expect(help).toMatchObject({ faults: '', code: 0 });
  expect(help.said).toMatch(new RegExp(`^${program}: .*\n\n  node scripts/${program}\\.ts.*\n\n  --`, 's'));
  // Every option has a default and, but for the switches, a name or unit of its value.
  const options = help.said
    .split('\n')
    .filter((line) => line.startsWith('  --') && !/--(alone|help|quiet|wire) /.test(line));
  for (const line of options) expect(line).toMatch(/^ {2}--[a-z-]+ [A-Z]+ .*\(default .+\)( \[.+\])?$/);
  expect(options.length).toBeGreaterThan(0);
  expect(wrong).toMatchObject({ said: '', code: 2 });
  expect(wrong.faults).toContain(fault);
  expect(wrong.faults).toContain('--colour is not an option; --help lists them');
});
