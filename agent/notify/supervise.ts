import { describeError, type Log } from '@muster/proto/log';

import type { Config } from '../config.ts';
import { NO_NOTIFIER, openNotifier, readWatchdogMs, type Notifier } from '../notify.ts';
import { toPlainText } from '../plain-text.ts';
import { scheduleTimer } from '../schedule.ts';
import { connectDatagrams } from './datagram.ts';

/**
 * The link to the service manager that started this process, as its environment says: sd_notify(3). Without one nothing
 * is loaded. Where the link cannot be made the agent goes on: it samples until the service manager ends it, having waited
 * in vain for the first sign of life, and the log says what to do about it.
 */
export function superviseBy(
  env: Readonly<Record<string, string | undefined>>,
  { name, url, stateDirectory }: Config,
  log: Log,
): Notifier {
  const { NOTIFY_SOCKET: path = '' } = env;
  if (path === '') return NO_NOTIFIER;
  try {
    const { send } = connectDatagrams(path, [stateDirectory]);
    return openNotifier({
      send,
      watchdogMs: readWatchdogMs(env, process.pid),
      // A status is one line; a name may be any text.
      about: `${toPlainText(name, name.length, '\u{FFFD}')} to ${url}`,
      log,
      monotonicMs: () => performance.now(),
      now: Date.now,
      schedule: scheduleTimer,
    });
  } catch (cause) {
    log.error('notify.failed', { reason: describeError(cause), next: WITHOUT_NOTIFY });
    return NO_NOTIFIER;
  }
}

const WITHOUT_NOTIFY =
  'the service manager ends the agent when it has heard nothing for a while; let it start the agent without waiting for ' +
  'word of it: in the unit, Type=exec and WatchdogSec=0 (the drop-in no-notify.conf)';
