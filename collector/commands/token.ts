import {
  ENROLMENT_HOSTS_MAX,
  ENROLMENT_MS_DEFAULT,
  ENROLMENT_MS_MAX,
  TOKEN_ID_PATTERN,
  type EnrolmentTokenReply,
  type EnrolmentTokenRequest,
} from '@muster/proto/api';
import { parseOptions, type Option, type OptionsInput } from '@muster/proto/options';
import { err, ok, type Result } from '@muster/proto/result';

import { ANSWER_MS_MAX, TARGET, type Command } from './command.ts';
import { formatCreated, formatRevoked, formatTokens } from './token-text.ts';

const CREATE = {
  hosts: {
    placeholder: 'N',
    help: `how many hosts may join with it, 1 to ${ENROLMENT_HOSTS_MAX} (default 1)`,
    default: 1,
    parse: parseHosts,
  } satisfies Option<number>,
  valid: {
    placeholder: 'TIME',
    help: 'for how long, 1m to 30d (default 15m)',
    default: ENROLMENT_MS_DEFAULT,
    parse: parseValid,
  } satisfies Option<number>,
  ...TARGET,
};

const USAGE = `muster-collector token: the tokens with which hosts join, and send

  muster-collector token create [options]      make an enrolment token, with which hosts can join
  muster-collector token list [options]        list enrolment tokens and hosts' tokens; secrets are not shown
  muster-collector token revoke ID [options]   end one of them, from the next request on

It asks the running collector. --hosts and --valid are for create.`;

export const TOKEN_COMMAND: Command = {
  usage: USAGE,
  options: CREATE,
  parse(input) {
    const [verb = '', ...argv] = input.argv;
    switch (verb) {
      case 'create':
        return parseCreate({ ...input, argv });
      case 'list': {
        const target = parseOptions(TARGET, { ...input, argv });
        const question = { method: 'GET', path: '/api/v1/tokens', describe: formatTokens } as const;
        return target.ok ? ok({ question, target: target.value }) : target;
      }
      case 'revoke':
        return parseRevoke({ ...input, argv });
      default:
        return err([
          `token ${verb === '' ? 'needs a command' : `knows no ${verb}`}: create, list or revoke; --help tells more`,
        ]);
    }
  },
};

function parseCreate(input: OptionsInput): ReturnType<Command['parse']> {
  const options = parseOptions(CREATE, input);
  if (!options.ok) return options;
  const { hosts, valid, ...target } = options.value;
  const body: EnrolmentTokenRequest = { hosts, validMs: valid };
  const describe = async (reply: EnrolmentTokenReply, url: string) =>
    formatCreated(reply, url, await findInstallUrl(url));
  const question = { method: 'POST', path: '/api/v1/enrolment-tokens', body, describe } as const;
  return ok({ question, target });
}

/** Where the script that installs an agent is; null where the collector has none to install. */
async function findInstallUrl(url: string): Promise<string | null> {
  const installUrl = `${url}/install.sh`;
  const signal = AbortSignal.timeout(ANSWER_MS_MAX);
  const response = await fetch(installUrl, { method: 'HEAD', redirect: 'manual', signal }).catch(() => null);
  return response?.ok === true ? installUrl : null;
}

const WHICH =
  'Say which one: token revoke ID, before any option; token list shows the ids, and their first 4 characters may do';

function parseRevoke(input: OptionsInput): ReturnType<Command['parse']> {
  const [first = '-', ...rest] = input.argv;
  const isId = TOKEN_ID_PATTERN.test(first);
  const target = parseOptions(TARGET, { ...input, argv: first.startsWith('-') ? input.argv : rest });
  if (!target.ok || !isId) return err([...(isId ? [] : [WHICH]), ...(target.ok ? [] : target.error)]);
  const question = { method: 'DELETE', path: `/api/v1/tokens/${first}`, describe: formatRevoked } as const;
  return ok({ question, target: target.value });
}

function parseHosts(text: string): Result<number, string> {
  const isRight = /^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= ENROLMENT_HOSTS_MAX;
  return isRight ? ok(Number(text)) : err(`a number of hosts, 1 to ${ENROLMENT_HOSTS_MAX}`);
}

const UNITS_MS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `15m`, `12h`, `30d`, as milliseconds. */
function parseValid(text: string): Result<number, string> {
  const [, count = '', unit = ''] = /^([1-9]\d{0,5})([mhd])$/.exec(text) ?? [];
  const validMs = Number(count) * (UNITS_MS[unit] ?? NaN);
  return validMs <= ENROLMENT_MS_MAX ? ok(validMs) : err('a time from 1m to 30d, such as 15m, 12h or 7d');
}
