import { isThisMachine } from '@muster/proto/options';
import { createSignal, type JSX, Show } from 'solid-js';

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
        <Show when={token()}>
          {(shown) => (
            <>
              An enrolment token for one host, good until {formatInstant(shown().expiresMs)}:
              <code class="code-block">{shown().token}</code>
            </>
          )}
        </Show>
        <button type="button" class="button" disabled={made().kind === 'asking'} onClick={() => void ask()}>
          {token() === null ? 'Make an enrolment token' : 'Make another one'}
        </button>
        <span class="fault">{fault()}</span>
      </li>
      <li>
        On that host, as root:
        <code class="code-block">{installCommand(window.location.origin, token()?.token ?? '<token>')}</code>
        <Show when={isThisMachine(window.location.origin)}>
          <p class="hint">
            {window.location.origin} is this machine. On another one, put the address there by which it reaches the
            collector; deploy/README.md says how to give it one.
          </p>
        </Show>
      </li>
      <li class="hint">
        Once, where the collector is, before the first host: <code>node_modules/.bin/node scripts/build-agent.ts</code>
      </li>
    </ol>
  );
}

function installCommand(origin: string, token: string): string {
  const flag = origin.startsWith('http:') && !isThisMachine(origin) ? ' --insecure-http' : '';
  return `curl -fsSL ${origin}/install.sh | sh -s -- --token ${token}${flag}`;
}
