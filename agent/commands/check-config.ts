import { isOn, SOURCE_NAMES } from '../sources.ts';
import { readConfig, type Command } from './command.ts';

const USAGE =
  'muster-agent check-config [options]: says every fault of the configuration at once, or what follows from it';

/** Starts nothing, and opens nothing but the configuration's own files. */
export const CHECK_CONFIG: Command = {
  summary: 'say every fault of the configuration at once',
  run: async (input) => {
    const config = readConfig(USAGE, input);
    if (typeof config === 'number') return config;
    const labels = Object.entries(config.labels).map(([key, text]) => `${key}=${text}`);
    const rows = [
      ['collector', config.url],
      ['name', config.name],
      ['labels', labels.join(', ') || 'none'],
      ['interval', `${config.everyMs / 1000} s`],
      ['state', config.stateDirectory],
      ['token', config.token.ok ? 'there is one' : `${config.token.error} (needed until the host has joined)`],
      ['sources', SOURCE_NAMES.filter((name) => isOn(name, config.sources)).join(', ')],
      ['off', SOURCE_NAMES.filter((name) => !isOn(name, config.sources)).join(', ') || 'none'],
      ['checks', config.checks.map(({ name }) => name).join(', ') || 'none'],
    ];
    input.write(
      `The configuration is right.\n${rows.map(([what = '', is]) => `  ${what.padEnd(11)}${is}\n`).join('')}`,
    );
    return 0;
  },
};
