import { mkdtempSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { ContainerOptions } from '../sources/containers.ts';

export type StandInEngine = {
  readonly socket: string;
  /** The paths that were asked for, in order, without what follows the question mark. */
  readonly asked: string[];
  /** What `path` (as in `asked`) is answered with: a text, what JSON says, or by a function. Others: 404. */
  readonly answers: Map<string, unknown>;
  /** The containers in the list, each as Docker lists it. */
  setContainers: (...containers: readonly StandInContainer[]) => void;
  readonly close: () => Promise<void>;
};

export type Responder = (request: IncomingMessage, response: ServerResponse) => void;

export type StandInContainer = {
  readonly id: string;
  readonly name: string;
  readonly state?: string;
  readonly status?: string;
  readonly createdMs?: number;
  readonly labels?: Readonly<Record<string, string>>;
  /** What an inspection says besides what the rest of this implies. */
  readonly inspected?: Readonly<Record<string, unknown>>;
  readonly host?: Readonly<Record<string, unknown>>;
};

/** `a` → sixty-four of them. */
export function idOf(digit: string): string {
  return digit.repeat(64);
}

/** An engine on a socket of its own, which answers what a test wants. */
export async function openStandInEngine(socket = join(mkdtempSync(join(tmpdir(), 'muster-engine-')), 'engine.sock')) {
  const asked: string[] = [];
  const answers = new Map<string, unknown>();
  const server = createServer((request, response) => {
    const [path = ''] = (request.url ?? '').split('?');
    asked.push(path);
    const answer = answers.get(path);
    if (typeof answer === 'function') return (answer as Responder)(request, response); // by its declaration
    response.statusCode = answer === undefined ? 404 : 200;
    response.end(typeof answer === 'string' ? answer : JSON.stringify(answer ?? { message: 'No such container' }));
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  answers.set('/events', '');
  const engine: StandInEngine = {
    socket,
    asked,
    answers,
    setContainers: (...containers) => {
      answers.set('/containers/json', containers.map(toListEntry));
      for (const one of containers) answers.set(`/containers/${one.id}/json`, toInspection(one));
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  engine.setContainers();
  return engine;
}

/** As the description of the API has them, with the fields that are of no use here left out. */
function toListEntry({
  id,
  name,
  state = 'running',
  status = 'Up 2 hours',
  createdMs = 0,
  labels = {},
}: StandInContainer) {
  const image = { Image: 'docker.io/library/nginx:1.27', ImageID: `sha256:${id}` };
  return {
    Id: id,
    Names: [`/${name}`],
    ...image,
    Created: createdMs / 1000,
    Labels: labels,
    State: state,
    Status: status,
  };
}

function toInspection({ id, name, state = 'running', createdMs = 0, inspected = {}, host = {} }: StandInContainer) {
  const StartedAt = new Date(createdMs + 1).toISOString();
  const { RestartCount = 0, ...own } = inspected;
  const State = { Status: state, OOMKilled: false, Pid: 0, ExitCode: 0, StartedAt, ...own };
  return { Id: id, Name: `/${name}`, RestartCount, State, HostConfig: { NetworkMode: 'bridge', Memory: 0, ...host } };
}

/** The options of a source that looks at a stand-in. */
export function watching(socket: string | undefined, root: string, now: () => number): ContainerOptions {
  return { root, now, socket, answerMsMax: 1_000, names: { limit: 200, include: [], exclude: [], settleMs: 60_000 } };
}

/** The files of a container's first process, with cgroup v2. */
export function makeCgroupFiles(id: string, pid: number, { cpuSeconds = 0, receivedBytes = 0, memoryBytes = 0 } = {}) {
  const group = `sys/fs/cgroup/system.slice/docker-${id}.scope`;
  return {
    'sys/fs/cgroup/cgroup.controllers': 'cpuset cpu io memory hugetlb pids\n',
    [`proc/${pid}/cgroup`]: `0::/system.slice/docker-${id}.scope\n`,
    [`proc/${pid}/net/dev`]: `    lo: 9 1 0 0 0 0 0 0 9 1 0 0 0 0 0 0\n  eth0: ${receivedBytes} 2 0 0 0 0 0 0 77 3 0 0 0 0 0 0\n`,
    [`${group}/cpu.stat`]: `usage_usec ${cpuSeconds * 1e6}\nuser_usec 1\nsystem_usec 1\nnr_periods 5\nnr_throttled 2\nthrottled_usec 500000\n`,
    [`${group}/memory.current`]: `${memoryBytes}\n`,
    [`${group}/memory.stat`]:
      'anon 4096\nfile 8192\ninactive_anon 0\nactive_anon 4096\ninactive_file 1024\nactive_file 0\n',
    [`${group}/memory.events`]: 'low 0\nhigh 0\nmax 3\noom 1\noom_kill 1\noom_group_kill 0\n',
    [`${group}/io.stat`]:
      '8:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n253:0 rbytes=1 wbytes=2 rios=1 wios=1 dbytes=0 dios=0\n',
    [`${group}/pids.current`]: '7\n',
  };
}
