import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';

import { KEEP_NOTHING } from './rebase.ts';
import { openSources, SOURCE_NAMES, SOURCES } from './sources.ts';
import { DEBIAN, findSampleFault, makeRoot } from './testing/fixture.ts';
import { MACHINES } from './testing/machine.ts';

/** Of each machine the files that it was made of, and a root with a copy of them, which is damaged. */
const PLACES = {
  captured: DEBIAN,
  'metal, cgroup v2': makeRoot(MACHINES.v2),
  'metal, cgroup v1': makeRoot(MACHINES.v1),
};
const machines = Object.entries(PLACES).map(([what, whole]) => {
  const root = mkdtempSync(join(tmpdir(), 'muster-sources-'));
  cpSync(whole, root, { recursive: true });
  return { what, whole, root, files: listFiles(whole) };
});
afterAll(() => {
  for (const { root } of machines) rmSync(root, { recursive: true });
});

function listFiles(directory: string): readonly string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((path) => statSync(join(directory, path)).isFile() && !path.endsWith('.md'))
    .toSorted();
}

const SURROUNDINGS = {
  now: () => 1_000_000,
  listCosts: () => [],
  checks: [],
  readClockOffset: () => ({ offsetSeconds: 0.125, errorSeconds: 0.01 }),
  keepFor: () => KEEP_NOTHING,
};

/** Those that read files, and no others: what they find does not depend on this machine. */
const FROM_FILES = SOURCE_NAMES.filter((name) => SOURCES[name].isOn);

/** Opens all sources and reads them twice: what they say, and what is wrong with that. */
async function readAll(
  root: string,
): Promise<{ readonly faults: readonly string[]; readonly names: ReadonlySet<string> }> {
  const faults: string[] = [];
  const names = new Set<string>();
  const sources = await openSources({}, { ...SURROUNDINGS, root });
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

test.for(machines)(
  'every source survives a file of a machine ($what) that is missing, empty, cut short or garbage, and says nothing impossible',
  { timeout: 60_000 },
  async ({ whole, root, files }) => {
    const some = fc.uniqueArray(fc.constantFrom(...files), { minLength: 1, maxLength: 3 });
    await fc.assert(
      fc.asyncProperty(some, DAMAGES, async (damaged, { apply }) => {
        for (const path of damaged) apply(join(root, path), readFileSync(join(whole, path)));
        const { faults } = await readAll(root);
        for (const path of damaged) {
          if (existsSync(join(root, path))) rmSync(join(root, path), { recursive: true });
          cpSync(join(whole, path), join(root, path));
        }
        expect(faults).toEqual([]);
      }),
      { numRuns: 400 },
    );
  },
);

/** The sources that find nothing at all. */
async function listSilent(root: string): Promise<readonly string[]> {
  const sources = await openSources({}, { ...SURROUNDINGS, root });
  const silent: string[] = [];
  for (const source of sources) {
    const reading = await (async () => source.read())().catch(() => null); // one that lacks its files may throw
    if (reading?.ok !== true || reading.value.samples.length === 0) silent.push(source.name);
    await source.close?.();
  }
  expect(sources.map(({ name }) => name)).toEqual(FROM_FILES);
  return silent;
}

test('every source that reads files alone finds something on the captured machine, but for what that lacks', async () => {
  // A virtual machine on which nobody was logged in; no check is configured, and nobody wrote files for us.
  const lacking = /^(frequency|users|checks|textfile|units|sensors|gpu)$/;
  expect((await listSilent(DEBIAN)).filter((name) => !lacking.test(name))).toEqual([]);
});

test.for(machines.slice(1))('what the captured machine lacks is there on another one ($what)', async ({ whole }) => {
  const there = /^(frequency|users|units|sensors|gpu|network|links)$/;
  expect((await listSilent(whole)).filter((name) => there.test(name))).toEqual([]);
});
