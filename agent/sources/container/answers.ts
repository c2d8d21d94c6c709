import { isRecord } from '@muster/proto/record';

import { parseJson } from '../../parse-json.ts';

export const CONTAINER_STATES = ['created', 'running', 'paused', 'restarting', 'exited', 'dead'] as const;
export type ContainerState = (typeof CONTAINER_STATES)[number];
export type ContainerHealth = 'starting' | 'healthy' | 'unhealthy';

/** What the list of an engine says of a container. `status` is in words that change with what is said. */
export type Listed = {
  readonly id: string;
  /** What it is known by, however often it is made anew: see nameOf. */
  readonly name: string;
  readonly image: string;
  readonly createdMs: number;
  readonly state: ContainerState;
  readonly status: string;
  /** Null where the list does not say, as Podman's never does, and of what does not run. */
  readonly health: ContainerHealth | null;
  readonly composeProject: string | null;
  readonly composeService: string | null;
};

/** What an engine says of one container when it is asked. */
export type Inspected = {
  /** 0 when it does not run. */
  readonly pid: number;
  readonly startedMs: number | null;
  readonly restarts: number;
  readonly exitCode: number | null;
  readonly isOomKilled: boolean;
  /** Null without a health check, and of what does not run: engines call that unhealthy, however well it ended. */
  readonly health: ContainerHealth | null;
  /** Whether its network is its own; that of the host, or of another container, is not. */
  readonly hasNetwork: boolean;
  /** Null: as much as there is. */
  readonly memoryLimitBytes: number | null;
  readonly cpuLimit: number | null;
};

/** `kill` is a signal that somebody has it sent. `key` is the same when the same event is told again. */
export type EngineEvent = {
  readonly kind: 'died' | 'oom' | 'kill';
  readonly id: string;
  readonly name: string;
  readonly code: number | null;
  readonly atMs: number;
  readonly key: string;
};

/** Docker has no others (daemon/names); Podman neither. The length is ours: a label text has an end. */
const NAME_PATTERN = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,199}$/;
const ID_PATTERN = /^[0-9a-f]{64}$/;
const IMAGE_PATTERN = /^[a-zA-Z0-9][\w./:@+-]{0,255}$/;

/** The words of Docker and, for the same, of Podman (libpod/define/containerstate.go). */
const STATES: Readonly<Record<string, ContainerState>> = {
  created: 'created',
  configured: 'created',
  initialized: 'created',
  running: 'running',
  stopping: 'running',
  paused: 'paused',
  restarting: 'restarting',
  exited: 'exited',
  stopped: 'exited',
  removing: 'dead',
  dead: 'dead',
};

/** Reads the answer to `/containers/json?all=true`; null when it is no list. Entries of another shape are counted. */
export function parseList(text: string): { readonly listed: readonly Listed[]; readonly malformed: number } | null {
  const entries = parseJson(text);
  if (!Array.isArray(entries)) return null;
  const listed = entries.flatMap((entry: unknown) => toListed(entry) ?? []);
  return { listed, malformed: entries.length - listed.length };
}

function toListed(entry: unknown): Listed | null {
  if (!isRecord(entry)) return null;
  const { Id: id, Names: names, Image: image, Created: created, State: word, Status: status, Health: health } = entry;
  const labels = isRecord(entry['Labels']) ? entry['Labels'] : {};
  const written = Array.isArray(names) ? names.map(String).find((one) => /^\/[^/]+$/.test(one)) : undefined;
  const state = typeof word === 'string' && Object.hasOwn(STATES, word) ? STATES[word] : undefined;
  const name = nameOf(written?.slice(1) ?? '', labels);
  const said = /\((?:health: )?(\w+)\)$/.exec(String(status))?.[1];
  if (typeof id !== 'string' || !ID_PATTERN.test(id) || name === null || state === undefined) return null;
  if (typeof created !== 'number' || !Number.isFinite(created) || typeof status !== 'string') return null;
  return {
    id,
    name,
    image: typeof image === 'string' && IMAGE_PATTERN.test(image) ? image : '',
    createdMs: created * 1000,
    state,
    status: status.slice(0, 200),
    health: state === 'running' || state === 'paused' ? toHealth(isRecord(health) ? health['Status'] : said) : null,
    composeProject: toName(labels['com.docker.compose.project']),
    composeService: toName(labels['com.docker.compose.service']),
  };
}

/**
 * What stays when a container is made anew: its name, without what compose puts before it for a moment (twelve digits of
 * the one that it replaces), and without the number of the task that swarm puts behind it.
 */
export function nameOf(written: string, labels: Readonly<Record<string, unknown>>): string | null {
  const task = labels['com.docker.swarm.task.id'];
  if (typeof task === 'string' && task !== '' && written.endsWith(`.${task}`))
    return toName(written.slice(0, -task.length - 1));
  return toName(isCompose(labels) ? written.replace(/^[0-9a-f]{12}_/, '') : written);
}

function isCompose(labels: Readonly<Record<string, unknown>>): boolean {
  return typeof labels['com.docker.compose.project'] === 'string';
}

function toName(value: unknown): string | null {
  return typeof value === 'string' && NAME_PATTERN.test(value) ? value : null;
}

function toHealth(value: unknown): ContainerHealth | null {
  return value === 'starting' || value === 'healthy' || value === 'unhealthy' ? value : null;
}

/** Reads the answer to `/containers/<id>/json`; null when it is of another shape. */
export function parseInspected(text: string): Inspected | null {
  const answer = parseJson(text);
  if (!isRecord(answer) || !isRecord(answer['State'])) return null;
  const { Pid: pid, StartedAt: started, ExitCode: code, OOMKilled: isOomKilled, Health: health } = answer['State'];
  const host = isRecord(answer['HostConfig']) ? answer['HostConfig'] : {};
  const nanoCpus = toCount(host['NanoCpus']) ?? 0;
  const quota = toCount(host['CpuQuota']) ?? 0;
  return {
    pid: toCount(pid) ?? 0,
    startedMs: toInstant(started),
    restarts: toCount(answer['RestartCount']) ?? 0,
    exitCode: typeof code === 'number' && Number.isSafeInteger(code) ? code : null,
    isOomKilled: isOomKilled === true,
    health: isRecord(health) && toCount(pid) !== 0 ? toHealth(health['Status']) : null,
    hasNetwork: !/^(host$|container:|ns:)/.test(String(host['NetworkMode'])),
    memoryLimitBytes: toCount(host['Memory']) || null,
    // CpuPeriod 0 is the kernel's default, 100 ms: kernel document scheduler/sched-bwc.
    cpuLimit: nanoCpus / 1e9 || quota / (toCount(host['CpuPeriod']) || 100_000) || null,
  };
}

/** The year 1 stands for never. */
function toInstant(value: unknown): number | null {
  const instantMs = typeof value === 'string' ? Date.parse(value) : NaN;
  return instantMs > 0 ? instantMs : null;
}

const EVENT_KINDS: Readonly<Record<string, EngineEvent['kind']>> = {
  die: 'died',
  died: 'died',
  oom: 'oom',
  kill: 'kill',
};

/** Reads the answer to `/events`: a JSON object a line. What is of another shape is passed over. */
export function parseEvents(text: string): EngineEvent[] {
  return text.split('\n').flatMap((line) => toEvent(line === '' ? null : parseJson(line)) ?? []);
}

function toEvent(entry: unknown): EngineEvent | null {
  if (!isRecord(entry) || entry['Type'] !== 'container' || !isRecord(entry['Actor'])) return null;
  const { Action: action, time, timeNano } = entry;
  const { ID: id } = entry['Actor'];
  const attributes = isRecord(entry['Actor']['Attributes']) ? entry['Actor']['Attributes'] : {};
  const kind = typeof action === 'string' && Object.hasOwn(EVENT_KINDS, action) ? EVENT_KINDS[action] : undefined;
  const seconds = toCount(time);
  const name = nameOf(String(attributes['name']), attributes);
  if (kind === undefined || typeof id !== 'string' || !ID_PATTERN.test(id) || seconds === null || name === null)
    return null;
  if (!Number.isSafeInteger(seconds * 1000)) return null;
  // Podman before 4.0 has the exit code in containerExitCode only.
  const code = kind === 'kill' ? attributes['signal'] : (attributes['exitCode'] ?? attributes['containerExitCode']);
  const isCode = typeof code === 'string' && /^\d{1,3}$/.test(code);
  const key = `${id} ${kind} ${typeof timeNano === 'number' ? timeNano : seconds}`;
  return { kind, id, name, code: isCode ? Number(code) : null, atMs: seconds * 1000, key };
}

/** Who the engine says it is, in its answer to `/version`. */
export function parseVersion(text: string): string | null {
  const answer = parseJson(text);
  if (!isRecord(answer) || typeof answer['Version'] !== 'string') return null;
  const [component]: unknown[] = Array.isArray(answer['Components']) ? answer['Components'] : [];
  const name = isRecord(component) && typeof component['Name'] === 'string' ? component['Name'] : 'engine';
  // Docker's calls itself "Engine".
  const who = name === 'Engine' ? 'Docker Engine' : name;
  return `${who} ${answer['Version']}, API ${String(answer['ApiVersion'])}`.slice(0, 200);
}

/** A whole number from 0; above 2^53 it has lost its last digits. */
export function toCount(value: unknown): number | null {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 ? value : null;
}
