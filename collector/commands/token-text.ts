import type { EnrolmentTokenReply, EnrolmentTokenRow, HostTokenRow, RevokeReply, TokensReply } from '@muster/proto/api';

import { isThisMachine } from '@muster/proto/options';

/** Of a column in a table; the names of hosts are any text. */
const CELL_LENGTH_MAX = 40;

/** What `token create` prints: the token, and how an agent uses it. `installUrl`: the script that installs one, if any. */
export function formatCreated(
  { id, token, hosts, expiresMs }: EnrolmentTokenReply,
  url: string,
  installUrl: string | null,
): string {
  const isHere = isThisMachine(url);
  const flags = url.startsWith('http:') && !isHere ? ' --insecure-http' : '';
  const where = hosts === 1 ? 'the host' : 'each host';
  const install =
    installUrl === null
      ? [`Start the agent with it on ${where}, in a checkout of Muster:`]
      : [
          `Install the agent with it on ${where}, as root:`,
          '',
          `  curl -fsSL ${installUrl} | sh -s -- --token ${token}${flags}`,
          '',
          'Or start it by hand, in a checkout of Muster:',
        ];
  return [
    `Enrolment token ${id}: lets in ${hosts === 1 ? 'one host' : `${hosts} hosts`}, until ${formatTime(expiresMs)}. It is not shown again.`,
    '',
    `  ${token}`,
    '',
    ...install,
    '',
    `  MUSTER_TOKEN=${token} node_modules/.bin/node agent/main.ts --url ${url}${flags}`,
    ...(isHere
      ? ['', `${url} is this machine; on another one, give the address that it reaches the collector by.`]
      : []),
  ].join('\n');
}

/** What `token list` prints: what may be used to join, newest first, and the hosts by name. */
export function formatTokens({ enrolment, hosts }: TokensReply): string {
  const newestFirst = enrolment.toSorted((a, b) => b.createdMs - a.createdMs);
  const byName = hosts.toSorted((a, b) => (a.host < b.host ? -1 : 1));
  return [
    formatTable(['ENROLMENT TOKEN', 'STATE', 'HOSTS', 'CREATED', 'EXPIRES'], newestFirst.map(listEnrolment)),
    '',
    formatTable(['HOST TOKEN', 'STATE', 'SINCE', 'HOST', 'NAME'], byName.map(listHost)),
  ].join('\n');
}

/** What `token revoke` prints. */
export function formatRevoked({ id, host }: RevokeReply): string {
  return host === null
    ? `Enrolment token ${id} is revoked: no other host joins with it. Those that have joined stay.`
    : `Token ${id} of ${host} is revoked: nothing more of it is taken, and its history stays. It joins again when identity.json is removed from the state directory of its agent, with a new enrolment token.`;
}

function listEnrolment({ id, state, used, hosts, createdMs, expiresMs }: EnrolmentTokenRow): readonly string[] {
  return [id, state, `${used} of ${hosts}`, formatTime(createdMs), formatTime(expiresMs)];
}

function listHost({ id, state, sinceMs, host, name }: HostTokenRow): readonly string[] {
  return [id, state, formatTime(sinceMs), host, name];
}

function formatTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, ...(rows.length === 0 ? [['none']] : rows)].map((cells) => cells.map(formatCell));
  const widths = head.map((_, column) => Math.max(...lines.map((cells) => cells[column]?.length ?? 0)));
  return lines
    .map((cells) =>
      cells
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** Text of a host may hold what moves the cursor of a terminal, or turns its text round. */
function formatCell(text: string): string {
  const plain = text.replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, '\u{FFFD}');
  return plain.length > CELL_LENGTH_MAX ? `${plain.slice(0, CELL_LENGTH_MAX - 1)}…` : plain;
}

/** `2026-07-31 12:15 UTC` */
function formatTime(atMs: number): string {
  return `${new Date(atMs).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}
