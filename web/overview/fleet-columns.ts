import type { HostRow, HostStatus } from '@muster/proto/api';

import { compareNames } from '../compare-names.ts';

const STATUS_ORDER: Readonly<Record<HostStatus, number>> = { quarantined: 0, silent: 1, new: 2, revoked: 3, up: 4 };

/** The columns of the fleet: what each sorts by, and which end of it one wants to see first. */
export const FLEET_COLUMNS = [
  { key: 'status', title: 'Status', first: 'ascending', sortBy: (row: HostRow) => STATUS_ORDER[row.status] },
  { key: 'name', title: 'Host', first: 'ascending', sortBy: (row: HostRow) => row.name },
  { key: 'cpu', title: 'CPU', first: 'descending', sortBy: (row: HostRow) => row.cpuRatio },
  { key: 'memory', title: 'Memory', first: 'descending', sortBy: (row: HostRow) => row.memoryRatio },
  { key: 'disk', title: 'Fullest disk', first: 'descending', sortBy: (row: HostRow) => row.diskRatio },
  { key: 'receive', title: 'Net in', first: 'descending', sortBy: (row: HostRow) => row.receiveBytesPerSecond },
  { key: 'transmit', title: 'Net out', first: 'descending', sortBy: (row: HostRow) => row.transmitBytesPerSecond },
  { key: 'load', title: 'Load', first: 'descending', sortBy: (row: HostRow) => row.load1 },
  { key: 'uptime', title: 'Uptime', first: 'ascending', sortBy: (row: HostRow) => row.uptimeSeconds },
  { key: 'seen', title: 'Last seen', first: 'ascending', sortBy: (row: HostRow) => row.arrivedMs },
] as const;

export type FleetColumn = (typeof FLEET_COLUMNS)[number];
export type Direction = 'ascending' | 'descending';
export type FleetSort = { readonly column: FleetColumn; readonly direction: Direction };

const TITLES: ReadonlyMap<FleetColumn['key'], string> = new Map(FLEET_COLUMNS.map(({ key, title }) => [key, title]));

export function titleOf(key: FleetColumn['key']): string {
  return TITLES.get(key) ?? '';
}

/** The order that the address bar names; anything else is by name. */
export function parseSort(key: unknown, direction: unknown): FleetSort {
  const column = FLEET_COLUMNS.find((candidate) => candidate.key === key) ?? FLEET_COLUMNS[1];
  return { column, direction: direction === 'ascending' || direction === 'descending' ? direction : column.first };
}

/** The order after a press on a column: its own first, and the other way round when it is pressed again. */
export function nextSort(sort: FleetSort, column: FleetColumn): FleetSort {
  if (column.key !== sort.column.key) return { column, direction: column.first };
  return { column, direction: sort.direction === 'ascending' ? 'descending' : 'ascending' };
}

/** Compares two hosts. What is not known comes last whichever way, and equals go by name. */
export function compareRows(a: HostRow, b: HostRow, { column, direction }: FleetSort): number {
  const [first, second] = [column.sortBy(a), column.sortBy(b)];
  if (first !== second && (first === null || second === null)) return first === null ? 1 : -1;
  const rise = typeof first === 'number' ? first - Number(second) : compareNames(String(first), String(second));
  return (direction === 'ascending' ? rise : -rise) || compareNames(a.name, b.name) || compareNames(a.host, b.host);
}

/** Whether a host is what the filter asks for: each word is in its name, its id or its status. */
export function matchesFilter(row: HostRow, filter: string): boolean {
  const labels = Object.entries(row.labels).map(([key, value]) => `${key}=${value}`);
  const text = [row.name, row.host, row.status, ...labels].join(' ').toLowerCase();
  return filter
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}
