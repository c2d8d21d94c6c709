import type { LatestValue } from '@muster/proto/api';
import { createMemo, type JSX, Show } from 'solid-js';

import { UNKNOWN } from '../format.ts';
import { type Check, describeExpiry, listChecks } from './checks.ts';
import { formatCustom } from './customs.ts';
import { FactTable, NameCell } from './fact-table.tsx';
import { StateMark } from './state-mark.tsx';

/** Those that are down come first; the search finds the others. */
const CHECKS_MAX = 100;
const SEARCH = {
  hint: 'Name or service',
  textOf: ({ name, kind, service, reason }: Check) => [name, kind, service, reason].join(' '),
} as const;
/** A certificate that is renewed by itself is so a month before. */
const EXPIRES_SOON_SECONDS = 14 * 86_400;

const COLUMNS = [
  { title: 'Check' },
  { title: 'State' },
  { title: 'Latency', isNumber: true },
  { title: 'Certificate expires', isNumber: true },
] as const;

/** What this host sees of services. */
export function CheckTable(props: {
  readonly latest: ReadonlyMap<string, LatestValue>;
  readonly atMs: number;
}): JSX.Element {
  const all = createMemo(() => listChecks(props.latest.values(), props.atMs));
  return (
    <FactTable name="checks" title="Checks" columns={COLUMNS} rows={all()} max={CHECKS_MAX} search={SEARCH}>
      {(check) => <Row check={check()} />}
    </FactTable>
  );
}

function Row(props: { readonly check: Check }): JSX.Element {
  const hint = (): string => [props.check.kind, props.check.service].filter((text) => text !== '').join(' · ');
  return (
    <tr>
      <NameCell name={props.check.name} hint={hint()} />
      <td class="fact-state">
        <CheckState isUp={props.check.isUp} />
        <Show when={props.check.reason !== ''}>
          <bdi class="hint">{props.check.reason}</bdi>
        </Show>
      </td>
      <td class="number">{formatCustom(props.check.seconds, { unit: 's' })}</td>
      <td class="number">
        <Expiry seconds={props.check.expirySeconds} />
      </td>
    </tr>
  );
}

function CheckState(props: { readonly isUp: boolean | null }): JSX.Element {
  return (
    <Show when={props.isUp !== null} fallback={<StateMark tone="unknown" word={UNKNOWN} />}>
      <StateMark tone={props.isUp === true ? 'good' : 'bad'} word={props.isUp === true ? 'up' : 'down'} />
    </Show>
  );
}

function Expiry(props: { readonly seconds: number | null }): JSX.Element {
  const seconds = (): number => props.seconds ?? Infinity;
  return (
    <span classList={{ fault: seconds() < 0, soon: seconds() >= 0 && seconds() < EXPIRES_SOON_SECONDS }}>
      {props.seconds === null ? UNKNOWN : describeExpiry(props.seconds)}
    </span>
  );
}
