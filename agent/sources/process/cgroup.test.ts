import fc from 'fast-check';
import { expect, test } from 'vitest';

import { anyTextLike } from '../../testing/any-text.ts';
import { parsePlace, withoutNumbers } from './cgroup.ts';

const ID = '4f5e6d7c8b9a0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796';
const SHORT = '4f5e6d7c8b9a';
const POD = 'pod0a1b2c3d-0000-4000-8000-0123456789ab';

// The layouts that the engines document: Docker (cgroupfs and systemd driver), Podman, Kubernetes with containerd and
// CRI-O, LXC, systemd-nspawn.
test.for([
  [`12:memory:/docker/${ID}\n1:name=systemd:/docker/${ID}\n0::/system.slice/containerd.service\n`, SHORT, null],
  [`0::/system.slice/docker-${ID}.scope\n`, SHORT, null],
  [`0::/system.slice/docker-${ID}.scope/init.scope\n`, SHORT, null],
  [`0::/machine.slice/libpod-${ID}.scope/container\n`, SHORT, null],
  [`0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-${ID}.scope/container\n`, SHORT, null],
  [`9:name=systemd:/libpod_parent/libpod-${ID}\n`, SHORT, null],
  [`0::/machine.slice/libpod-conmon-${ID}.scope\n`, null, 'libpod-conmon-*.scope'],
  [
    `0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-${POD}.slice/cri-containerd-${ID}.scope\n`,
    SHORT,
    null,
  ],
  [`11:cpu,cpuacct:/kubepods/besteffort/${POD}/${ID}\n`, SHORT, null],
  [`0::/kubepods.slice/kubepods-${POD}.slice/crio-${ID}.scope\n`, SHORT, null],
  [`0::/kubepods.slice/kubepods-${POD}.slice/crio-conmon-${ID}.scope\n`, null, 'crio-conmon-*.scope'],
  [`0::/system.slice/kubelet.slice:cri-containerd:${ID}\n`, SHORT, null],
  ['0::/lxc.payload.web/system.slice/nginx.service\n', 'web', null],
  ['4:memory:/lxc/web\n', 'web', null],
  ['0::/lxc.monitor.web\n', null, null],
  ['0::/machine.slice/machine-deb\\x2d12.scope/payload\n', 'deb-12', null],
  ['0::/machine.slice/systemd-nspawn@deb.service/payload/system.slice/cron.service\n', 'deb', null],
  ['0::/machine.slice/machine-qemu\\x2d3\\x2dweb.scope/emulator\n', null, 'machine-qemu\\x2d*\\x2dweb.scope'],
  [`0::/docker/${ID}/docker/${'0'.repeat(64)}\n`, SHORT, null],
  ['0::/system.slice/system-getty.slice/getty@tty1.service\n', null, 'getty@tty1.service'],
  ['0::/user.slice/user-1000.slice/user@1000.service/app.slice/app.service\n', null, 'user@1000.service'],
  ['0::/user.slice/user-1000.slice/session-7.scope\n', null, 'session-*.scope'],
  ['9:name=systemd:/system.slice/cron.service\n8:pids:/\n0::/system.slice/cron.service\n', null, 'cron.service'],
  ['0::/init.scope\n', null, 'init.scope'],
  ['0::/\n', null, null],
  ['0::/system.slice/cron.service', null, null], // cut short
  ['', null, null],
] as const)('parsePlace(%o) is container %s, unit %s', ([text, container, unit]) => {
  expect(parsePlace(text)).toEqual({ container, unit });
});

test('parsePlace() never throws', () => {
  fc.assert(fc.property(anyTextLike(`0::/system.slice/docker-${ID}.scope\n`), (text) => void parsePlace(text)));
});

test.for([
  ['session-c2.scope', 'session-*.scope'],
  ['run-u17.service', 'run-*.service'],
  ['run-r0123456789abcdef0123456789abcdef.scope', 'run-*.scope'],
  ['run-p4711-i4712.scope', 'run-*.scope'],
  ['sshd@3-10.0.0.1:22-10.0.0.2:40314.service', 'sshd@*.service'],
  ['systemd-coredump@1-815-0.service', 'systemd-coredump@*.service'],
  ['postgresql@15-main.service', 'postgresql@15-main.service'],
  ['user@1000.service', 'user@1000.service'],
  ['run-parts.service', 'run-parts.service'],
  ['app-0a1b2c3d-0000-4000-8000-0123456789ab.scope', 'app-*.scope'],
] as const)('withoutNumbers(%s) is %s', ([unit, name]) => {
  expect(withoutNumbers(unit)).toBe(name);
});
