import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { basename, dirname, join, posix } from 'node:path';

import { expect, test } from 'vitest';

// The law of the repository, as far as a machine can read it. The linter has the rest: functions of 70 lines at most,
// four parameters, no `any`, no `!`.

const ROOT = join(import.meta.dirname, '..');
const FILE_LINES_MAX = 400;
const TOP_LEVEL = new Set(['agent', 'collector', 'deploy', 'proto', 'scripts', 'web']);
const BANNED_NAMES = /^(utils?|helpers?|common|misc|manager|base|index)\.(ts|tsx|mjs)$/;

const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
  cwd: ROOT,
  encoding: 'utf8',
})
  .split('\n')
  .filter((file) => file !== '' && existsSync(join(ROOT, file)));
const sources = files.filter((file) => /\.(ts|tsx|mjs)$/.test(file));

function read(file: string): string {
  return readFileSync(join(ROOT, file), 'utf8');
}

/** Whom each folder may import of ours; the longest folder that fits counts. Tests may import anything. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  agent: ['agent', 'proto'],
  'agent/sources': [
    'agent/sources',
    'agent/custom',
    'agent/child-environment.ts',
    'agent/code-of.ts',
    'agent/compare-numbered.ts',
    'agent/http-client.ts',
    'agent/list-directory.ts',
    'agent/parse-json.ts',
    'agent/plain-text.ts',
    'agent/source.ts',
    'agent/rate.ts',
    'agent/ratio.ts',
    'agent/port-holder.ts',
    'agent/read-text.ts',
    'agent/rebase.ts',
    'agent/remember.ts',
    'agent/schedule.ts',
    'agent/settings.ts',
    'agent/trust.ts',
    'agent/package.json',
    'proto',
  ],
  collector: ['collector', 'proto'],
  'collector/domain': ['collector/domain', 'proto'],
  'collector/http': ['collector/http', 'collector/domain', 'collector/ingest', 'collector/store/queries.ts', 'proto'],
  'collector/ingest': ['collector/ingest', 'collector/domain', 'proto'],
  'collector/notify': ['collector/notify', 'collector/domain', 'proto'],
  'collector/store': ['collector/store', 'collector/domain', 'proto'],
  proto: ['proto'],
  scripts: ['agent', 'collector', 'proto', 'scripts', 'web'],
  web: ['web', 'proto'],
  'web/chart': ['web/chart', 'web/format.ts', 'proto'],
  'web/ui': ['web/ui'],
};

/** What only one place may import, so that it can be replaced there. */
const ONLY_IN: readonly (readonly [module: string, place: RegExp])[] = [
  ['uWebSockets.js', /^collector\/http\/live-server\.ts$/],
  ['chart.js', /^web\/chart\//],
  ['chdb', /^collector\/store\/(embedded|session)\.ts$/],
  ['ffi-rs', /^scripts\/clickhouse-server\/engine\.ts$/],
  ['@clickhouse/client', /^collector\/store\//],
];

const PURE = /^(proto|collector\/domain)\//;
const IMPURE =
  /\bDate\.now\(|\bnew Date\(\)|\bMath\.random\(|\bperformance\.now\(|(?<!['./\w])process\.|['"]node:|\bfetch\(/;

function importsOf(file: string): string[] {
  return [...read(file).matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map(([, specifier]) => specifier ?? '');
}

/** The file of ours that a specifier names, from the root; null for a package. */
function resolveOurs(file: string, specifier: string): string | null {
  if (specifier.startsWith('.')) return posix.join(dirname(file), specifier);
  const ours = /^@muster\/(\w+)\/(.+)$/.exec(specifier);
  return ours === null ? null : `${ours[1]}/${ours[2]}.ts`;
}

function isTest(file: string): boolean {
  return /\.test\.tsx?$|^agent\/testing\/|^collector\/test-(collector|store)\.ts$/.test(file);
}

test('the top level holds what the design names', () => {
  const folders = new Set(
    files.filter((file) => file.includes('/') && !file.startsWith('.')).map((file) => file.split('/')[0] ?? ''),
  );
  expect([...folders].filter((folder) => !TOP_LEVEL.has(folder))).toEqual([]);
});

test('who imports whom', () => {
  const faults: string[] = [];
  for (const file of sources) {
    if (isTest(file)) continue;
    const folder = Object.keys(MAY_IMPORT)
      .filter((name) => file.startsWith(`${name}/`))
      .toSorted((a, b) => b.length - a.length)[0];
    for (const specifier of folder === undefined ? [] : importsOf(file)) {
      const target = resolveOurs(file, specifier);
      if (target === null || folder === undefined) continue;
      const isAllowed =
        MAY_IMPORT[folder]?.some((place) => target === place || target.startsWith(`${place}/`)) ?? false;
      if (!isAllowed) faults.push(`${file} may not import ${target}`);
    }
  }
  expect(faults).toEqual([]);
});

test('what only one place imports', () => {
  const faults: string[] = [];
  for (const file of sources) {
    for (const specifier of importsOf(file)) {
      for (const [module, place] of ONLY_IN) {
        const isIt = specifier === module || specifier.startsWith(`${module}/`);
        if (isIt && !place.test(file) && !isTest(file)) faults.push(`${file} may not import ${specifier}`);
      }
    }
  }
  expect(faults).toEqual([]);
});

test('proto and domain have no I/O, no clock and no chance', () => {
  const isCode = (line: string): boolean => !/^\s*(\*|\/\/|\/\*)/.test(line);
  const faults = sources
    .filter((file) => PURE.test(file) && !isTest(file))
    .flatMap((file) =>
      read(file)
        .split('\n')
        .filter((line) => isCode(line) && IMPURE.test(line))
        .map((line) => `${file}: ${line.trim()}`),
    );
  expect(faults).toEqual([]);
});

test('no file is named after nothing, none is too long, none is a barrel', () => {
  const faults = sources.flatMap((file) => [
    ...(BANNED_NAMES.test(basename(file)) ? [`${file}: name it after what it exports`] : []),
    ...(read(file).split('\n').length > FILE_LINES_MAX + 1 ? [`${file}: over ${FILE_LINES_MAX} lines`] : []),
    ...(/^export \* from/m.test(read(file)) ? [`${file}: a barrel`] : []),
  ]);
  expect(faults).toEqual([]);
});

test('nothing is left undone or switched off', () => {
  const words = /\b(T[O]DO|F[I]XME|X[X]X|H[A]CK)\b/; // so written that this line is not one of them
  const faults = sources.filter(
    (file) => words.test(read(file)) || /\b(test|describe|it)\.(skip|only)\(/.test(read(file)),
  );
  expect(faults).toEqual([]);
});

test('every dependency is pinned exactly', () => {
  const faults = files
    .filter((file) => basename(file) === 'package.json')
    .flatMap((file) => {
      const manifest: Record<string, Record<string, string> | undefined> = JSON.parse(read(file));
      const all = { ...manifest['dependencies'], ...manifest['devDependencies'], ...manifest['optionalDependencies'] };
      return Object.entries(all)
        .filter(([, version]) => !/^(\d+\.\d+\.\d+|workspace:\*|npm:[\w@/-]+@\d+\.\d+\.\d+)$/.test(version))
        .map(([name, version]) => `${file}: ${name} ${version}`);
    });
  expect(faults).toEqual([]);
});
