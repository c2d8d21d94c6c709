import { isIPv6 } from 'node:net';

import { err, ok, type Result } from '@muster/proto/result';

import { measure, type DnsProbe, type Failure, type RecordType, type Run } from './check.ts';
import { describeDnsFault } from './dns-fault.ts';
import { makeResolver } from './names.ts';

/** Asks a name server. */
export async function probeDns({ domain, type, server, expect }: DnsProbe, run: Run): Promise<Result<null, Failure>> {
  const records = await measure(run, 'dns', () => ask(domain, type, server, run));
  if (!records.ok) return records;
  const found = new Set(records.value.map(normalise));
  const missing = expect.find((one) => !found.has(normalise(one)));
  return missing === undefined ? ok(null) : err({ type: 'answer', words: `the answer is without ${missing}` });
}

async function ask(
  domain: string,
  type: RecordType,
  server: string | null,
  { timeoutMs, signal }: Run,
): Promise<Result<readonly string[], Failure>> {
  const resolver = makeResolver(timeoutMs, signal);
  try {
    if (server !== null) resolver.setServers([server]);
    const records: unknown = await resolver.resolve(domain, type);
    return ok((Array.isArray(records) ? records : [records]).map(formatRecord));
  } catch (cause) {
    return err(describeDnsFault(cause).failure);
  }
}

/** As zone files write it: `10 mail.example`, `0 5 5060 sip.example`, the parts of a text put together. */
export function formatRecord(record: unknown): string {
  if (typeof record === 'string') return record;
  if (Array.isArray(record)) return record.join('');
  if (typeof record !== 'object' || record === null) return '';
  const parts: Readonly<Record<string, unknown>> = { ...record };
  const isService = 'weight' in parts;
  const keys = isService ? ['priority', 'weight', 'port', 'name'] : ['priority', 'exchange'];
  return keys.map((key) => String(parts[key])).join(' ');
}

/** One way of writing an address; names without regard to case and a last dot. */
function normalise(text: string): string {
  const lower = text.toLowerCase().replace(/\.$/, '');
  return isIPv6(lower) ? new URL(`http://[${lower}]`).hostname : lower;
}
