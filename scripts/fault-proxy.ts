import { once } from 'node:events';

import { parsePort, parseSwitch, type Option } from '@muster/proto/options';

import { numberOption, readOptions, SEED } from './command.ts';
import { NO_FAULTS, type Faults } from './fault-proxy/fault-plan.ts';
import { openFaultProxy } from './fault-proxy/fault-proxy.ts';

const USAGE = `fault-proxy: a TCP proxy that does harm, the same harm for the same seed; ends with SIGTERM or Ctrl-C

  node scripts/fault-proxy.ts --listen 7440 --to 7430 --seed 7 --drop-replies 0.2`;

const ratio = (help: string): Option<number> =>
  numberOption({ unit: 'RATIO', help, default: 0, max: 1, isDecimal: true });
const amount = (name: keyof Faults, unit: 'MS' | 'BYTES', help: string): Option<number> =>
  numberOption({ unit, help, default: NO_FAULTS[name], max: 1e9 });

const OPTIONS = {
  listen: { placeholder: 'PORT', help: 'port of 127.0.0.1 (default any free one)', default: 0, parse: parsePort },
  to: { placeholder: 'PORT', help: 'port of the server on 127.0.0.1 (default 7430)', default: 7430, parse: parsePort },
  seed: SEED,
  quiet: { help: 'print no line for each fault', default: false, parse: parseSwitch },
  latencyMs: amount('latencyMs', 'MS', 'every byte arrives this much later, each way'),
  jitterMs: amount('jitterMs', 'MS', 'and up to this much more, by connection'),
  throttleBytesPerSecond: amount('throttleBytesPerSecond', 'BYTES', 'what each way carries; 0 is no limit'),
  cut: ratio('of connections that are closed'),
  cutBytesMax: amount('cutBytesMax', 'BYTES', 'after up to so many bytes of a way'),
  cutMsMax: amount('cutMsMax', 'MS', 'or after up to this time; 0 is never'),
  reset: ratio('of connections that are reset'),
  resetBytesMax: amount('resetBytesMax', 'BYTES', 'after up to so many bytes of a way'),
  halfOpen: ratio('of connections of which one way goes silent'),
  halfOpenBytesMax: amount('halfOpenBytesMax', 'BYTES', 'after up to so many bytes of it'),
  halfOpenMs: amount('halfOpenMs', 'MS', 'for so long; then it is reset'),
  dropReplies: ratio('of replies that are swallowed, their requests having gone through'),
} as const;

const { listen, to, seed, quiet, ...faults } = readOptions(USAGE, OPTIONS);
const proxy = await openFaultProxy({
  port: listen,
  upstream: { port: to },
  seed,
  faults,
  onFault: (event) => {
    if (!quiet) console.log(JSON.stringify(event));
  },
});
console.log(`127.0.0.1:${proxy.port} leads to 127.0.0.1:${to}, seed ${seed}`);
await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
await proxy.close();
console.log(JSON.stringify(proxy.stats));
