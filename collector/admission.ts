import type { Log } from '@muster/proto/log';

import { makeAuthorise } from './access.ts';
import { makeEnrolment, type Enrolment } from './enrolment.ts';
import type { Authorise } from './http/auth.ts';
import type { Latest } from './ingest/latest.ts';
import { makeRunWatch, type AdmitRun } from './run-watch.ts';
import { nameSecret } from './secret.ts';
import type { Sessions } from './sessions.ts';
import type { State } from './store/state.ts';
import { makeTokens, type Tokens } from './tokens.ts';

export type AdmissionOptions = {
  readonly state: State;
  readonly accessKey: string;
  readonly sessions: Sessions;
  readonly latest: Latest;
  /** What `latest` says of a host has changed, but for its values. */
  readonly onChanged: (host: string) => void;
  readonly log: Log;
  readonly now: () => number;
};

/** Who is let in, and how hosts come to be: everything that looks at tokens, with what it tells the log and the page. */
export type Admission = {
  readonly authorise: Authorise;
  readonly enrolment: Enrolment;
  readonly tokens: Tokens;
  readonly admitRun: AdmitRun;
};

export function makeAdmission({
  state,
  accessKey,
  sessions,
  latest,
  onChanged,
  log,
  now,
}: AdmissionOptions): Admission {
  const { hostTokens } = state;
  for (const token of hostTokens.all())
    if (token.state === 'quarantined' || token.state === 'revoked') latest.setEnded(token.host, token.state);
  return {
    authorise: makeAuthorise({
      accessKey,
      hostTokens,
      sessions,
      onReplacedUsed: ({ hash, host }) => log.warn('host.replaced-token-used', { host, token: nameSecret(hash) }),
    }),
    enrolment: makeEnrolment({
      state,
      onHost(host, name) {
        latest.addHost(host, name, null);
        latest.setEnded(host, null);
        onChanged(host);
        log.info('host.enrolled', { host, name });
      },
      now,
    }),
    tokens: makeTokens({
      state,
      onRevoked(token, host) {
        if (host !== null) {
          latest.setEnded(host, 'revoked');
          onChanged(host);
        }
        log.info('token.revoked', { token, host });
      },
      now,
    }),
    admitRun: makeRunWatch({
      hostTokens,
      onQuarantined(host, runs) {
        latest.setEnded(host, 'quarantined');
        onChanged(host);
        log.error('host.quarantined', {
          host,
          runs,
          next: 'two machines send with its token; its page says what to do',
        });
      },
      now,
    }),
  };
}
