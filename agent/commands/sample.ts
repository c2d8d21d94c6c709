import { findMetric } from '@muster/proto/metric';

import type { Sample } from '../source.ts';
import { readConfig, type Command } from './command.ts';
import { survey } from './survey.ts';

const USAGE =
  'muster-agent sample --once [options]: prints what the agent would send now, after a second of looking, and sends nothing';

/** Prints what the agent would send, and why it would not send more. */
export const SAMPLE: Command = {
  summary: 'print what the agent would send now; it sends nothing',
  run: async (input) => {
    const argv = input.argv.filter((word) => word !== '--once');
    if (argv.length === input.argv.length && !argv.includes('--help')) {
      input.fail('muster-agent sample needs --once: it prints one sample and ends\n');
      return 2;
    }
    const config = readConfig(USAGE, { ...input, argv });
    if (typeof config === 'number') return config;
    for (const { name, reading } of await survey(config)) {
      if (!reading.ok) {
        input.write(`# ${name}: ${reading.error}\n`);
        continue;
      }
      const { samples, remark } = reading.value;
      input.write(`# ${name}${remark === undefined ? '' : `: ${remark}`}\n${formatSamples(samples)}`);
    }
    return 0;
  },
};

function formatSamples(samples: readonly Sample[]): string {
  const rows = samples.map(({ metric, labels, value, about }) => [
    `${metric}${labels === '' ? '' : `{${labels}}`}`,
    formatValue(value, (about ?? findMetric(metric))?.unit ?? ''),
  ]);
  const width = Math.max(0, ...rows.map(([name = '']) => name.length));
  return rows.map(([name = '', value = '']) => `${name.padEnd(width)}  ${value}\n`).join('');
}

const BYTES = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

/** With its unit as people write it: `12.3 %`, `3.2 GiB`, `41 s`, `7`. */
export function formatValue(value: number, unit: string): string {
  if (unit === '1') return `${round(value * 100)} %`;
  if (unit !== 'By') return unit.startsWith('{') || unit === '' ? String(value) : `${round(value)} ${unit}`;
  const power = Math.min(BYTES.length - 1, Math.max(0, Math.floor(Math.log2(value || 1) / 10)));
  return `${round(value / 1024 ** power)} ${BYTES[power]}`;
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
