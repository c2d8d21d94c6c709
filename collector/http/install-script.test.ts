import { expect, test } from 'vitest';

import { writeInstallScript } from './install-script.ts';

const template = "url='@URL@'\ncat <<'UNIT'\n@UNIT@\nUNIT\n  @DROPINS@\n";
const dropIns = new Map([['gpu.conf', '[Service]\nDeviceAllow=$2\n']]);
const unit =
  '[Unit]\nDocumentation=file:/usr/share/doc\n[Service]\nExecStart=/usr/bin/muster-agent\nEnvironment=COST=$1\n';

test.for([
  ['muster.example', false, 'http://muster.example'],
  ['Muster.Example:7430', false, 'http://muster.example:7430'],
  ['muster.example', true, 'https://muster.example'],
  ['127.0.0.1:7430', false, 'http://127.0.0.1:7430'],
  ['[::1]:7430', false, 'http://[::1]:7430'],
  ['x', false, 'http://x'],
] as const)('writeInstallScript() for host %s, encrypted %s, has the address %s', ([host, isEncrypted, url]) => {
  expect(writeInstallScript({ template, unit, dropIns, host, isEncrypted })).toBe(
    `url='${url}'\ncat <<'UNIT'\n[Unit]\n[Service]\nExecStart=/usr/local/bin/muster-agent\nEnvironment=COST=$1\nUNIT\n  cat >"$dropins/gpu.conf" <<'DROPIN'\n[Service]\nDeviceAllow=$2\nDROPIN\n`,
  );
});

test.for([
  '',
  "a';touch /tmp/owned;'",
  'a$(id)',
  'a`id`',
  'a b',
  'a\nb',
  'a/b',
  'user@a',
  'a:b',
  'a:123456',
  '-a',
  'a..b\u0000',
  '[::1',
  '[::1;id]',
  'ä.example',
  `${'a'.repeat(300)}.example`,
])('writeInstallScript() puts no host %j into a script', (host) => {
  expect(writeInstallScript({ template, unit, dropIns, host, isEncrypted: false })).toBeNull();
});
