import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

import fc from 'fast-check';
import { expect, test } from 'vitest';

import { findClean } from './give-back.ts';
import { anyTextLike } from './testing/any-text.ts';

/** As proc(5) shows a mapping, with what is looked at. */
function mapping(head: string, dirtyKilobytes = 0, ownKilobytes = 0): string {
  return `${head}\nSize: 8 kB\nRss: 4 kB\nPrivate_Dirty:         ${dirtyKilobytes} kB\nAnonymous:             ${ownKilobytes} kB\nVmFlags: rd mr\n`;
}

const TEXT = '00e37000-032e7000 r-xp 00a38000 fe:00 1234                       /usr/bin/muster-agent';
const DATA = '00400000-00401000 r--p 00000000 fe:00 1234                       /usr/bin/muster-agent';

test.for([
  // what, mappings, how many may be given back
  ['code and constants', mapping(TEXT) + mapping(DATA), 2],
  ['constants that were set at the start', mapping(DATA, 16), 0],
  ['pages of our own', mapping(DATA, 0, 4), 0],
  ['what can be written', mapping(TEXT.replace('r-xp', 'rw-p')), 0],
  ['what is shared', mapping(TEXT.replace('r-xp', 'r-xs')), 0],
  [
    'memory without a file',
    mapping('7f00-7f01 r-xp 00000000 00:00 0 ') + mapping('7f00-7f01 r-xp 00000000 00:00 0 [vdso]'),
    0,
  ],
  ['a file that is gone', mapping(`${TEXT} (deleted)`), 1],
  ['a text cut short', mapping(TEXT).slice(0, 100), 0],
  ['nothing', '', 0],
] as const)('findClean() of %s', ([, smaps, count]) => {
  expect(findClean(smaps)).toHaveLength(count);
});

test('findClean() says where a part lies, and never throws', () => {
  expect(findClean(mapping(DATA))).toEqual([{ address: 0x400000, bytes: 4096 }]);
  fc.assert(fc.property(anyTextLike(mapping(TEXT) + mapping(DATA)), (text) => void findClean(text)));
});

test('a process that gives memory back goes on, with less of it', async () => {
  const program = `
    import { giveBackMemory } from '${join(import.meta.dirname, 'give-back.ts')}';
    import { readFileSync } from 'node:fs';
    const readResident = () => Number(/VmRSS:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]);
    const log = { info: (event, fields) => console.error(event, fields) };
    const rounds = [];
    giveBackMemory({ directories: [], log, schedule: (run) => rounds.push(run) });
    const before = readResident();
    for (let i = 0; i < 20; i += 1) rounds.at(-1)();
    const text = JSON.stringify(Array.from({ length: 1000 }, (_, i) => new Date(i).toISOString()));
    console.log(rounds.length, readResident() < before, JSON.parse(text).length);
  `;
  const { stdout, stderr } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program]);
  expect([stdout.trim(), stderr]).toEqual(['21 true 1000', '']);
});
