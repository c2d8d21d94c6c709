import { err, ok, type Result } from '@muster/proto/result';

import type { Bus } from './dbus.ts';
import type { Value } from './dbus-wire.ts';

/** A unit that systemd has loaded. `path` is its object on the bus. */
export type Unit = {
  readonly name: string;
  readonly loadState: string;
  readonly activeState: string;
  readonly path: string;
};

const MANAGER = { destination: 'org.freedesktop.systemd1', path: '/org/freedesktop/systemd1' } as const;

/** Source: org.freedesktop.systemd1(5), ListUnits: an array of ten texts and a number for each unit. */
export async function listUnits(bus: Bus): Promise<Result<readonly Unit[], string>> {
  const answer = await bus.call({
    ...MANAGER,
    interface: 'org.freedesktop.systemd1.Manager',
    member: 'ListUnits',
    texts: [],
  });
  if (!answer.ok) return answer;
  const [list] = answer.value;
  return Array.isArray(list) ? ok(list.flatMap((entry: Value) => parseUnit(entry) ?? [])) : err('it lists no units');
}

function parseUnit(entry: Value): Unit | null {
  if (!Array.isArray(entry)) return null;
  const [name, , loadState, activeState, , , path] = entry as readonly Value[];
  if (typeof name !== 'string' || typeof loadState !== 'string') return null;
  if (typeof activeState !== 'string' || typeof path !== 'string') return null;
  return { name, loadState, activeState, path };
}

/** How often systemd itself has started the service again; null when it does not say (before version 235). */
export async function readRestarts(bus: Bus, { path }: Pick<Unit, 'path'>): Promise<number | null> {
  const answer = await bus.call({
    ...MANAGER,
    path,
    interface: 'org.freedesktop.DBus.Properties',
    member: 'Get',
    texts: ['org.freedesktop.systemd1.Service', 'NRestarts'],
  });
  const value = answer.ok ? answer.value[0] : null;
  return typeof value === 'number' ? value : null;
}
