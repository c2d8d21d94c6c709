import { LABELS_LENGTH_MAX, parseLabels } from '@muster/proto/labels';
import fc from 'fast-check';
import { expect, test } from 'vitest';

import { NOWHERE } from './cgroup.ts';
import { labelsOf, nameKernelThread } from './identity.ts';
import { parseUsers } from './owner.ts';

const NGINX = { name: 'nginx', isKernel: false, uid: 33, place: NOWHERE, commandLine: null };
const nameOf = (uid: number) => (uid === 33 ? 'www-data' : String(uid));

test.for([
  [NGINX, 'process.executable.name=nginx,process.owner=www-data'],
  [
    { ...NGINX, place: { container: null, unit: 'nginx.service' } },
    'process.executable.name=nginx,process.owner=www-data,systemd.unit.name=nginx.service',
  ],
  // Who is 33 in a container is not who is 33 here.
  [
    { ...NGINX, place: { container: 'abc', unit: null } },
    'container.id=abc,process.executable.name=nginx,process.owner=33',
  ],
  [
    { ...NGINX, commandLine: 'nginx: worker ' },
    'process.command_line=nginx: worker,process.executable.name=nginx,process.owner=www-data',
  ],
  [{ ...NGINX, name: ' a\u001b[31m\n=,' }, 'process.executable.name=a?[31m?\\=\\,,process.owner=www-data'],
  [{ ...NGINX, name: 'sh\u202Egnp' }, 'process.executable.name=sh?gnp,process.owner=www-data'],
  [{ ...NGINX, name: '' }, 'process.executable.name=?,process.owner=www-data'],
] as const)('labelsOf(%o) is %s', ([known, labels]) => {
  expect(labelsOf(known, nameOf)).toBe(labels);
});

test('labelsOf() gives labels that travel even if every character needs a backslash', () => {
  const text = ','.repeat(500);
  const known = { name: text, isKernel: false, uid: 0, place: { container: null, unit: text }, commandLine: text };
  const labels = labelsOf(known, () => text);
  expect(parseLabels(labels).ok).toBe(true);
  expect(labels.length).toBeLessThanOrEqual(LABELS_LENGTH_MAX);
});

test('labelsOf() gives labels that travel, whatever the names are', () => {
  const text = fc.string({ unit: 'binary', maxLength: 400 });
  fc.assert(
    fc.property(text, text, text, (name, unit, commandLine) => {
      const labels = labelsOf({ ...NGINX, name, place: { container: null, unit }, commandLine }, nameOf);
      expect(parseLabels(labels).ok).toBe(true);
      expect(labels.length).toBeLessThanOrEqual(LABELS_LENGTH_MAX);
    }),
  );
});

test.for([
  ['kworker/u8:2-ext4-rsv-conversion', 'kworker/*'],
  ['ksoftirqd/0', 'ksoftirqd/*'],
  ['jbd2/vda1-8', 'jbd2/*'],
  ['kswapd0', 'kswapd0'],
  ['/odd', '/odd'],
] as const)('nameKernelThread(%s) is %s', ([name, group]) => {
  expect(nameKernelThread(name)).toBe(group);
});

test('parseUsers() names users by the first line of their number', () => {
  const text =
    'root:x:0:0::/root:/bin/sh\ntoor:x:0:0::/:/bin/sh\n+::::::\nx:y\nwww-data:x:33:33::/:/bin/false\ncut:x:34';
  expect([...parseUsers(text)]).toEqual([
    [0, 'root'],
    [33, 'www-data'],
  ]);
});
