import { createSignal, type JSX, Match, Switch } from 'solid-js';

import { useApp } from '../app-context.ts';
import { formatInstant } from '../format.ts';

type Made =
  | { readonly kind: 'none' | 'asking' }
  | { readonly kind: 'made'; readonly token: string; readonly expiresMs: number }
  | { readonly kind: 'failed'; readonly message: string };

/** How to add a host to the fleet. */
export function AddHost(): JSX.Element {
  const { api } = useApp();
  const [made, setMade] = createSignal<Made>({ kind: 'none' });
  const ask = async (): Promise<void> => {
    setMade({ kind: 'asking' });
    const reply = await api.makeEnrolmentToken();
    setMade(reply.ok ? { kind: 'made', ...reply.value } : { kind: 'failed', message: reply.error.message });
  };
  const token = (): Extract<Made, { kind: 'made' }> | null => {
    const state = made();
    return state.kind === 'made' ? state : null;
  };
  const fault = (): string => {
    const state = made();
    return state.kind === 'failed' ? state.message : '';
  };
  return (
    <ol class="steps">
      <li>
        <Switch>
          <Match when={token()}>
            {(shown) => (
              <>
                An enrolment token, good until {formatInstant(shown().expiresMs)}:
                <code class="code-block">{shown().token}</code>
              </>
            )}
          </Match>
          <Match when={token() === null}>
            <button type="button" class="button" disabled={made().kind === 'asking'} onClick={() => void ask()}>
              Make an enrolment token
            </button>
            <span class="fault">{fault()}</span>
          </Match>
        </Switch>
      </li>
      <li>
        On that host, as root:
        <code class="code-block">{installCommand(window.location.origin, token()?.token ?? '<token>')}</code>
      </li>
      <li class="hint">
        Once, where the collector is, before the first host: <code>node_modules/.bin/node scripts/build-agent.ts</code>
      </li>
    </ol>
  );
}

function installCommand(origin: string, token: string): string {
  const { hostname, protocol } = new URL(origin);
  const isPlain = protocol === 'http:' && hostname !== 'localhost' && !hostname.startsWith('127.');
  return `curl -fsSL ${origin}/install.sh | sh -s -- --token ${token}${isPlain ? ' --insecure-http' : ''}`;
}
