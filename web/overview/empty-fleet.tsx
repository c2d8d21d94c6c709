import { createSignal, type JSX, Match, Switch } from 'solid-js';

import { useApp } from '../app-context.ts';
import { formatInstant } from '../format.ts';
import { Notice } from '../ui/notice.tsx';

type Made =
  | { readonly kind: 'none' | 'asking' }
  | { readonly kind: 'made'; readonly token: string; readonly expiresMs: number }
  | { readonly kind: 'failed'; readonly message: string };

/** What a fleet without hosts says: how to add one. */
export function EmptyFleet(): JSX.Element {
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
    <Notice title="No hosts yet">
      <p>A host appears here as soon as its agent has enrolled. To add one:</p>
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
          Start the agent on that host with it, in a checkout of Muster:
          <code class="code-block">{agentCommand(window.location.origin, token()?.token ?? '<token>')}</code>
        </li>
      </ol>
    </Notice>
  );
}

function agentCommand(origin: string, token: string): string {
  const { hostname, protocol } = new URL(origin);
  const isPlain = protocol === 'http:' && hostname !== 'localhost' && !hostname.startsWith('127.');
  return `MUSTER_TOKEN=${token} node_modules/.bin/node agent/main.ts --url ${origin}${isPlain ? ' --insecure-http' : ''}`;
}
