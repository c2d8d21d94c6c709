import { execFile, execFileSync, spawn } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { describeError } from '@muster/proto/log';

import { until } from './until.ts';

/** A container engine of its own: its images, containers and state lie in a directory that goes with it. */
export type Podman = {
  /** Where it speaks the API of Docker. */
  readonly socket: string;
  /** Starts a container of busybox, without a network. It must end by itself, in case that nobody removes it. */
  readonly run: (name: string, options: readonly string[], command: readonly string[]) => Promise<void>;
  /** Removes the containers, ends the service, and deletes the directory. */
  readonly close: () => Promise<void>;
};

const BUSYBOX = '/bin/busybox';
const APPLETS = ['sh', 'sleep', 'true', 'date'];
/** A machine may allow no more than these, and Podman asks for more by default. */
const ULIMITS = ['--ulimit', 'nofile=1024:1024', '--ulimit', 'nproc=1000:1000'];
const STARTING_MS_MAX = 20_000;

const exec = promisify(execFile);

/** Needs root, podman, runc and a static busybox; throws where they are not there or may not do their work. */
export async function openPodman(): Promise<Podman> {
  if (process.getuid?.() !== 0) throw new Error('Cannot start containers: run this as root');
  if (!existsSync(BUSYBOX)) throw new Error(`Cannot make an image: there is no ${BUSYBOX}; install busybox-static`);
  const directory = mkdtempSync(join(tmpdir(), 'muster-podman-'));
  const at = (name: string) => join(directory, name);
  const own = ['--root', at('root'), '--runroot', at('run'), '--tmpdir', at('tmp')];
  const plain = ['--storage-driver=vfs', '--cgroup-manager=cgroupfs', '--runtime=runc', '--events-backend=file'];
  const podman = async (...args: readonly string[]) =>
    exec('podman', [...own, ...plain, ...args], { timeout: STARTING_MS_MAX });
  const socket = at('engine.sock');
  const remove = () => rmSync(directory, { recursive: true, force: true });
  try {
    await podman('import', packBusybox(directory), 'busybox:test');
    // Once, so that it is known here and not in the middle of something whether containers can be started.
    await podman('run', '--rm', '--network=none', ...ULIMITS, 'busybox:test', 'true');
  } catch (cause) {
    remove();
    throw new Error('Cannot start containers here', { cause });
  }
  const service = spawn('podman', [...own, ...plain, 'system', 'service', '--time=120', `unix://${socket}`], {
    stdio: 'ignore',
  });
  const ended = new Promise((resolve) => service.once('close', resolve));
  await until('the socket of podman', () => (existsSync(socket) ? true : null));
  return {
    socket,
    run: async (name, options, command) => {
      await podman(
        'run',
        '--detach',
        '--network=none',
        ...ULIMITS,
        '--name',
        name,
        ...options,
        'busybox:test',
        ...command,
      );
    },
    close: async () => {
      await podman('rm', '--force', '--all', '--time=0');
      service.kill('SIGTERM');
      await ended;
      // Each container has a process that tidies up behind it, and writes to the directory until it is done.
      await until('the end of what podman started', () => (isInUse(directory) ? null : true));
      remove();
    },
  };
}

/** Whether a process has the directory in its command line. */
function isInUse(directory: string): boolean {
  return readdirSync('/proc').some((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      return readFileSync(`/proc/${name}/cmdline`, 'utf8').includes(directory);
    } catch {
      return false; // it has just ended
    }
  });
}

function packBusybox(directory: string): string {
  const bin = join(directory, 'image/bin');
  mkdirSync(bin, { recursive: true });
  copyFileSync(BUSYBOX, join(bin, 'busybox'));
  for (const applet of APPLETS) symlinkSync('busybox', join(bin, applet));
  const archive = join(directory, 'image.tar');
  execFileSync('tar', ['-C', join(directory, 'image'), '-cf', archive, '.']);
  return archive;
}

/** An engine, or null where none can be had; then it says why to whoever reads the tests. */
export async function openPodmanIfPossible(): Promise<Podman | null> {
  try {
    return await openPodman();
  } catch (cause) {
    console.warn(`Not tested here: ${describeError(cause)}`);
    return null;
  }
}
