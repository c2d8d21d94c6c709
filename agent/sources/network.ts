import { join } from 'node:path';

import { formatLabels } from '@muster/proto/labels';
import { counterRise } from '@muster/proto/metric';
import { err, ok, type Result } from '@muster/proto/result';

import { listDirectory } from '../list-directory.ts';
import { parseCount, readText, splitLines, tryText } from '../read-text.ts';
import { KEEP_NOTHING, makeRebase, type Keep } from '../rebase.ts';
import { remember } from '../remember.ts';
import type { Sample, Source } from '../source.ts';
import { makeGuestFilter } from './network/guest.ts';

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

/** The loopback, and, by the name that most engines give it, the host's end of a container's network. */
const LEFT_OUT_PATTERN = /^(lo$|veth)/;

/** Of eight series each: more than a host has that are its own. */
const INTERFACES_MAX = 100;

const TOTAL_LABELS = {
  receive: formatLabels({ 'network.io.direction': 'receive' }),
  transmit: formatLabels({ 'network.io.direction': 'transmit' }),
} as const;

export function makeNetworkSource(root: string, keep: Keep = KEEP_NOTHING): Source {
  const labelsOf = remember((name) => ({
    receive: formatLabels({ 'network.interface.name': name, 'network.io.direction': 'receive' }),
    transmit: formatLabels({ 'network.interface.name': name, 'network.io.direction': 'transmit' }),
  }));
  const addUp = makeTotal();
  const leaveGuestsOut = makeGuestFilter(root);
  const findWire = makeWireFinder(root);
  const rebase = makeRebase({ identify: (name) => tryText(join(root, 'sys/class/net', name, 'ifindex')), keep });
  return {
    name: 'network',
    read: () => {
      const found = readNetwork(root);
      if (!found.ok) return found;
      const counters = rebase(new Map(leaveGuestsOut(found.value).map((one) => [one.name, toCounters(one)])));
      const interfaces = [...counters].map(([name, counts]) => fromCounters(name, counts));
      const onWire = findWire(interfaces);
      const total = addUp(interfaces, onWire);
      const chosen = choose(interfaces, onWire);
      const samples = chosen.flatMap((one) => sampleInterface(one, labelsOf(one.name)));
      for (const direction of DIRECTIONS) {
        samples.push({ metric: 'system.network.io', labels: TOTAL_LABELS[direction], value: total[direction] });
      }
      return ok({ samples, ...(chosen.length < interfaces.length ? { remark: TOO_MANY } : {}) });
    },
  };
}

const TOO_MANY = `more than ${INTERFACES_MAX} interfaces: those that were made last have no series of their own`;

/** Those on the wire first, then as the kernel lists them: mostly the older before the younger. */
function choose(interfaces: readonly NetworkInterface[], onWire: ReadonlySet<string>): readonly NetworkInterface[] {
  if (interfaces.length <= INTERFACES_MAX) return interfaces;
  const isFirst = ({ name }: NetworkInterface) => Number(onWire.has(name));
  return interfaces.toSorted((a, b) => isFirst(b) - isFirst(a)).slice(0, INTERFACES_MAX);
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
    const entries = listDirectory(join(root, 'sys/class/net', name));
    if (entries.some((entry) => entry.startsWith('lower_'))) continue;
    lowest.push(name);
    if (entries.includes('device')) withDevice.push(name);
  }
  return new Set(withDevice.length > 0 ? withDevice : lowest);
}

/** How often it is looked at again what lies over what, when no interface came or went. */
const WIRE_READS = 60;

/** The same, looked up anew when the interfaces are others, and from time to time: a card may join a bond. */
function makeWireFinder(root: string): (interfaces: readonly NetworkInterface[]) => ReadonlySet<string> {
  let known: { readonly names: string; readonly onWire: ReadonlySet<string> } | null = null;
  let reads = 0;
  return (interfaces) => {
    const names = interfaces.map(({ name }) => name).join('/');
    reads += 1;
    if (known?.names !== names || reads % WIRE_READS === 0) known = { names, onWire: findOnWire(root, interfaces) };
    return known.onWire;
  };
}

const COUNTED = ['bytes', 'packets', 'errors', 'dropped'] as const;

function toCounters(one: NetworkInterface): number[] {
  return DIRECTIONS.flatMap((direction) => COUNTED.map((counted) => one[direction][counted]));
}

function fromCounters(name: string, counts: readonly number[]): NetworkInterface {
  const take = ([bytes = 0, packets = 0, errors = 0, dropped = 0]: readonly number[]): Traffic => ({
    bytes,
    packets,
    errors,
    dropped,
  });
  return { name, receive: take(counts), transmit: take(counts.slice(COUNTED.length)) };
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
