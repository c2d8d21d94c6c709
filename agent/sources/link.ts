import { join } from 'node:path';

import { formatLabels } from '@muster/proto/labels';
import { ok } from '@muster/proto/result';

import { listDirectory } from '../list-directory.ts';
import { tryText } from '../read-text.ts';
import { remember } from '../remember.ts';
import type { Sample, Source } from '../source.ts';

/** It changes seldom, and some drivers ask the card. */
const EVERY_MS = 30_000;

/** `bytesPerSecond` null: it is down, or has no speed of its own. */
export type Link = { readonly name: string; readonly isUp: boolean; readonly bytesPerSecond: number | null };

export function makeLinkSource(root: string): Source {
  const labelsOf = remember((name) => formatLabels({ 'network.interface.name': name }));
  return {
    name: 'links',
    everyMs: EVERY_MS,
    read: () => {
      const samples = readLinks(root).flatMap(({ name, isUp, bytesPerSecond }): Sample[] => {
        const up: Sample = { metric: 'system.network.up', labels: labelsOf(name), value: isUp ? 1 : 0 };
        if (bytesPerSecond === null) return [up];
        return [up, { metric: 'system.network.speed', labels: labelsOf(name), value: bytesPerSecond }];
      });
      return ok({ samples });
    },
  };
}

/** The interfaces with a device behind them, and bonds: those that go up and down by what happens outside. */
export function readLinks(root: string): Link[] {
  const directory = join(root, 'sys/class/net');
  return listDirectory(directory).flatMap((name) => {
    const entries = listDirectory(join(directory, name));
    if (!entries.includes('device') && !entries.includes('bonding')) return [];
    // The speed of an interface that is down is an error (EINVAL).
    const read = (file: string) => tryText(join(directory, name, file)) ?? '';
    return Object.assign({ name }, parseLink(read('operstate'), read('speed')));
  });
}

/**
 * Source: kernel document ABI/testing/sysfs-class-net: `speed` in Mbit/s, -1 when unknown; `operstate` by RFC 2863, and
 * `unknown` for drivers that do not tell, which work.
 */
export function parseLink(operstate: string, speed: string): Omit<Link, 'name'> {
  const state = operstate.trim();
  const megabits = /^\d{1,9}$/.test(speed.trim()) ? Number(speed) : 0;
  // A virtual card says 2^32 - 1 when it does not know.
  const isKnown = megabits > 0 && megabits < 4_294_967_295;
  return { isUp: state === 'up' || state === 'unknown', bytesPerSecond: isKnown ? (megabits * 1e6) / 8 : null };
}
