import { join } from 'node:path';

import { formatLabels } from '@muster/proto/labels';
import { err, ok, type Result } from '@muster/proto/result';

import { parseCount, readText, splitLines } from '../read-text.ts';
import { remember } from '../remember.ts';
import type { Sample, Source } from '../source.ts';

const DIRECTIONS = ['receive', 'transmit'] as const;
export type NetworkDirection = (typeof DIRECTIONS)[number];

/** Counted since the interface came up. */
export type Traffic = {
  readonly bytes: number;
  readonly packets: number;
  readonly errors: number;
  readonly dropped: number;
};

export type NetworkInterface = Readonly<Record<NetworkDirection, Traffic>> & { readonly name: string };

/** The loopback, and the host's end of every container's own network, which lives as briefly as the container. */
const LEFT_OUT_PATTERN = /^(lo$|veth)/;

export function makeNetworkSource(root: string): Source {
  const labelsOf = remember((name) => ({
    receive: formatLabels({ 'network.interface.name': name, 'network.io.direction': 'receive' }),
    transmit: formatLabels({ 'network.interface.name': name, 'network.io.direction': 'transmit' }),
  }));
  return {
    name: 'network',
    read: async () => {
      const interfaces = readNetwork(root);
      if (!interfaces.ok) return interfaces;
      return ok({ samples: interfaces.value.flatMap((one) => sampleInterface(one, labelsOf(one.name))) });
    },
  };
}

export function readNetwork(root: string): Result<NetworkInterface[], string> {
  const text = readText(join(root, 'proc/net/dev'));
  if (text === null) return err('there is no proc/net/dev');
  return ok(parseNetwork(text).filter(({ name }) => !LEFT_OUT_PATTERN.test(name)));
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
