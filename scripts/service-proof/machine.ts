import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';

import { describeError } from '@muster/proto/log';

import { until } from '../until.ts';

const PACKAGES = 'systemd,systemd-sysv,dbus,libstdc++6,libgcc-s1,curl,ca-certificates';
const RELEASE = 'bookworm';
const OUTPUT_BYTES_MAX = 16 * 1024 * 1024;

export type Said = { readonly code: number | null; readonly out: string };

/** A Debian with a systemd of its own, in a container that shares the network of this machine. */
export type Machine = {
  /** Runs a command of a shell in it. `out` is all that it says. */
  readonly run: (command: string) => Said;
  /** Where its files are, as seen from here. */
  readonly root: string;
  readonly close: () => Promise<void>;
};

/** Starts one from a tree, which stays as it is: what the machine writes is kept in memory. Throws where it cannot. */
export async function startMachine(tree: string): Promise<Machine> {
  makeTree(tree);
  const args = ['-q', '-D', tree, '--volatile=overlay', '--register=no', '--keep-unit', '-b', '--console=pipe'];
  const child = spawn('systemd-nspawn', args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const exited = new Promise<void>((resolve) => {
    child.once('close', () => resolve());
    child.once('error', () => resolve());
  });
  const end = (): void => void child.kill('SIGKILL');
  process.once('exit', end);
  const close = async (): Promise<void> => {
    child.kill('SIGTERM');
    await exited;
    process.off('exit', end);
  };
  try {
    const leader = await until('the machine', () => {
      if (child.exitCode !== null || child.pid === undefined)
        throw new Error(`systemd-nspawn has ended: ${said.trim()}`);
      return readChildren(child.pid)[0] ?? null;
    });
    const run = (command: string): Said => enter(leader, command);
    await until('systemd in the machine', () =>
      /^(running|degraded)/.test(run('systemctl is-system-running').out) ? true : null,
    );
    return { run, root: `/proc/${leader}/root`, close };
  } catch (cause) {
    await close();
    throw new Error('Cannot start a machine', { cause });
  }
}

/** Downloads the packages of a small Debian, once. */
function makeTree(tree: string): void {
  if (existsSync(tree)) return;
  const half = `${tree}.half`;
  mkdirSync(dirname(tree), { recursive: true });
  rmSync(half, { recursive: true, force: true });
  try {
    execFileSync('debootstrap', ['--variant=minbase', `--include=${PACKAGES}`, RELEASE, half], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    renameSync(half, tree);
  } catch (cause) {
    throw new Error('Cannot make a Debian; debootstrap and the packages of Debian are needed once', { cause });
  }
}

function readChildren(pid: number): readonly number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .split(' ')
    .filter((text) => text !== '')
    .map(Number);
}

function enter(leader: number, command: string): Said {
  const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' };
  const args = ['-t', String(leader), '-a', '/bin/sh', '-c', `exec 2>&1; ${command}`];
  const { status, stdout } = spawnSync('nsenter', args, { env, encoding: 'utf8', maxBuffer: OUTPUT_BYTES_MAX });
  return { code: status, out: stdout };
}

/** Why no machine can be started here, or null. */
export function findMachineFault(): string | null {
  if (process.getuid?.() !== 0) return 'it needs root';
  for (const program of ['systemd-nspawn', 'nsenter', 'debootstrap', 'dpkg-deb']) {
    const { error } = spawnSync(program, ['--version'], { stdio: 'ignore' });
    if (error !== undefined) return `${program} is missing: ${describeError(error)}`;
  }
  return null;
}
