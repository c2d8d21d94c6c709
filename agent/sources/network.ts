import { readdirSync } from 'node:fs';
import { join } from 'node:path';

import { formatLabels } from '@muster/proto/labels';
import { counterRise } from '@muster/proto/metric';
import { err, ok, type Result } from '@muster/proto/result';

import { parseCount, readText, splitLines } from '../read-text.ts';
import { remember } from '../remember.ts';
import type { Sample, Source } from '../source.ts';

const DIRECTIONS = ['receive', 'transmit'] as const;
export type NetworkDirection = (typeof DIRECTIONS)[number];

/** Counted since the interface was made. */
export type Traffic = {
  readonly bytes: number;
  readonly packets: number;
  readonly errors: number;
  readonly dropped: number;
};

export type NetworkInterface = Readonly<Record<NetworkDirection, Traffic>> & { readonly name: string };

/** The loopback, and the host's end of every container's own network, which lives as briefly as the container. */
const LEFT_OUT_PATTERN = /^(lo$|veth)/;

const TOTAL_LABELS = {
  receive: formatLabels({ 'network.io.direction': 'receive' }),
  transmit: formatLabels({ 'network.io.direction': 'transmit' }),
} as const;

export function makeNetworkSource(root: string): Source {
  const labelsOf = remember((name) => ({
    receive: formatLabels({ 'network.interface.name': name, 'network.io.direction': 'receive' }),
    transmit: formatLabels({ 'network.interface.name': name, 'network.io.direction': 'transmit' }),
  }));
  const addUp = makeTotal();
  return {
    name: 'network',
    read: () => {
      const interfaces = readNetwork(root);
      if (!interfaces.ok) return interfaces;
      const total = addUp(interfaces.value, findOnWire(root, interfaces.value));
      const samples = interfaces.value.flatMap((one) => sampleInterface(one, labelsOf(one.name)));
      for (const direction of DIRECTIONS) {
        samples.push({ metric: 'system.network.io', labels: TOTAL_LABELS[direction], value: total[direction] });
      }
      return ok({ samples });
    },
  };
}

export function readNetwork(root: string): Result<NetworkInterface[], string> {
  const text = readText(join(root, 'proc/net/dev'));
  if (text === null) return err('there is no proc/net/dev');
  const interfaces = parseNetwork(text);
  if (interfaces.length === 0) return err('proc/net/dev lists no interface, not even the loopback');
  return ok(interfaces.filter(({ name }) => !LEFT_OUT_PATTERN.test(name)));
}

/**
 * The names of the interfaces that reach the wire. Those over others (bonds, bridges, VLANs, tunnels; `lower_*` in
 * sysfs) repeat what those carry. Of the rest it is those with a device; where none has one, as in a container, all.
 * Source: kernel document ABI/testing/sysfs-class-net.
 */
export function findOnWire(root: string, interfaces: readonly NetworkInterface[]): ReadonlySet<string> {
  const lowest: string[] = [];
  const withDevice: string[] = [];
  for (const { name } of interfaces) {
    const entries = listEntries(join(root, 'sys/class/net', name));
    if (entries.some((entry) => entry.startsWith('lower_'))) continue;
    lowest.push(name);
    if (entries.includes('device')) withDevice.push(name);
  }
  return new Set(withDevice.length > 0 ? withDevice : lowest);
}

/** Nothing when the interface went away meanwhile, or sysfs is not there. */
function listEntries(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

type Bytes = Readonly<Record<NetworkDirection, number>>;

/**
 * Adds up by how much the interfaces on the wire have risen since the first call. That is a counter of its own: it
 * neither jumps when an interface comes, whose counter may stand anywhere, nor falls when one goes or is reset.
 */
function makeTotal(): (interfaces: readonly NetworkInterface[], onWire: ReadonlySet<string>) => Bytes {
  const total = { receive: 0, transmit: 0 };
  let previous: ReadonlyMap<string, NetworkInterface> = new Map();
  return (interfaces, onWire) => {
    for (const one of interfaces) {
      const before = previous.get(one.name);
      if (before === undefined || !onWire.has(one.name)) continue;
      for (const direction of DIRECTIONS) {
        total[direction] += counterRise(before[direction].bytes, one[direction].bytes) ?? 0;
      }
    }
    previous = new Map(interfaces.map((one) => [one.name, one]));
    return total;
  };
}

/**
 * Every interface. Source: proc(5), /proc/net/dev: a name, a colon (which no name contains: dev_valid_name in
 * net/core/dev.c; old kernels print no space after it), eight columns received, eight transmitted.
 */
export function parseNetwork(text: string): NetworkInterface[] {
  const interfaces: NetworkInterface[] = [];
  for (const line of splitLines(text)) {
    const [name, rest] = line.split(':');
    if (name === undefined || rest === undefined) continue;
    const counts = rest.trim().split(/\s+/).map(parseCount);
    const receive = toTraffic(counts.slice(0, 8));
    const transmit = toTraffic(counts.slice(8, 16));
    if (receive !== null && transmit !== null) interfaces.push({ name: name.trim(), receive, transmit });
  }
  return interfaces;
}

function toTraffic(counts: readonly (number | null)[]): Traffic | null {
  const [bytes, packets, errors, dropped] = counts;
  if (counts.length < 8) return null;
  if (typeof bytes !== 'number' || typeof packets !== 'number') return null;
  if (typeof errors !== 'number' || typeof dropped !== 'number') return null;
  return { bytes, packets, errors, dropped };
}

function sampleInterface(one: NetworkInterface, labels: Readonly<Record<NetworkDirection, string>>): Sample[] {
  return DIRECTIONS.flatMap((direction): Sample[] => {
    const { bytes, packets, errors, dropped } = one[direction];
    return [
      { metric: 'system.network.io', labels: labels[direction], value: bytes },
      { metric: 'system.network.packet.count', labels: labels[direction], value: packets },
      { metric: 'system.network.errors', labels: labels[direction], value: errors },
      { metric: 'system.network.packet.dropped', labels: labels[direction], value: dropped },
    ];
  });
}
