import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';

import { KEEP_NOTHING } from './rebase.ts';
import { openSources, SOURCE_NAMES, SOURCES } from './sources.ts';
import { DEBIAN, findSampleFault } from './testing/fixture.ts';

const root = mkdtempSync(join(tmpdir(), 'muster-sources-'));
cpSync(DEBIAN, root, { recursive: true });
afterAll(() => rmSync(root, { recursive: true }));

const SURROUNDINGS = {
  root,
  now: () => 1_000_000,
  listCosts: () => [],
  checks: [],
  readClockOffset: () => ({ offsetSeconds: 0.125, errorSeconds: 0.01 }),
  keepFor: () => KEEP_NOTHING,
};

const FILES = readdirSync(DEBIAN, { recursive: true, encoding: 'utf8' })
  .filter((path) => statSync(join(DEBIAN, path)).isFile() && !path.endsWith('.md'))
  .toSorted();

/** Those that read files, and no others: what they find does not depend on this machine. */
const FROM_FILES = SOURCE_NAMES.filter((name) => SOURCES[name].isOn);

/** Opens all sources and reads them twice: what they say, and what is wrong with that. */
async function readAll(): Promise<{ readonly faults: readonly string[]; readonly names: ReadonlySet<string> }> {
  const faults: string[] = [];
  const names = new Set<string>();
  const sources = await openSources({}, SURROUNDINGS);
  for (const source of [...sources, ...sources]) {
    try {
      const reading = await source.read();
      for (const sample of reading.ok ? reading.value.samples : []) {
        names.add(`${sample.metric} ${sample.labels}`);
        const fault = findSampleFault(sample);
        if (fault !== null) faults.push(`${source.name}: ${fault}`);
      }
    } catch (cause) {
      // The reader takes it for failed; it must say which file it is about.
      const message = String(cause);
      if (!message.includes(root)) faults.push(`${source.name} throws ${message}`);
    }
  }
  for (const source of sources) await source.close?.();
  return { faults, names };
}

type Damage = { readonly what: string; readonly apply: (path: string, bytes: Buffer) => void };

const byteArray = fc.uint8Array({ maxLength: 300 });
const DAMAGES: fc.Arbitrary<Damage> = fc.oneof(
  fc.constant({ what: 'missing', apply: (path: string) => rmSync(path) }),
  fc.constant({ what: 'empty', apply: (path: string) => writeFileSync(path, '') }),
  fc.constant({
    what: 'a directory',
    apply: (path: string) => {
      rmSync(path);
      mkdirSync(path);
    },
  }),
  fc.double({ min: 0, max: 1, noNaN: true }).map((part) => ({
    what: `cut to ${part}`,
    apply: (path: string, bytes: Buffer) => writeFileSync(path, bytes.subarray(0, Math.floor(part * bytes.length))),
  })),
  byteArray.map((garbage) => ({ what: 'garbage', apply: (path: string) => writeFileSync(path, garbage) })),
  fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), byteArray).map(([part, garbage]) => ({
    what: 'garbage in the middle',
    apply: (path: string, bytes: Buffer) => {
      const at = Math.floor(part * bytes.length);
      writeFileSync(path, Buffer.concat([bytes.subarray(0, at), garbage, bytes.subarray(at + garbage.length)]));
    },
  })),
);

test('every source survives a file that is missing, empty, cut short or garbage, and says nothing impossible', async () => {
  const files = fc.uniqueArray(fc.constantFrom(...FILES), { minLength: 1, maxLength: 3 });
  await fc.assert(
    fc.asyncProperty(files, DAMAGES, async (damaged, { apply }) => {
      for (const path of damaged) apply(join(root, path), readFileSync(join(DEBIAN, path)));
      const { faults } = await readAll();
      for (const path of damaged) {
        if (existsSync(join(root, path))) rmSync(join(root, path), { recursive: true });
        cpSync(join(DEBIAN, path), join(root, path));
      }
      expect(faults).toEqual([]);
    }),
    { numRuns: 400 },
  );
}, 60_000);

test('every source that reads files alone finds something on the captured machine, but for what that lacks', async () => {
  // A virtual machine on which nobody was logged in; no check is configured, and nobody wrote files for us.
  const lacking = /^(frequency|users|checks|textfile|units|sensors|gpu)$/;
  const sources = await openSources({}, SURROUNDINGS);
  const silent: string[] = [];
  for (const source of sources) {
    const reading = await source.read();
    if (!reading.ok || reading.value.samples.length === 0) silent.push(source.name);
    await source.close?.();
  }
  expect(silent.filter((name) => !lacking.test(name))).toEqual([]);
  expect(sources.map(({ name }) => name)).toEqual(FROM_FILES);
});
