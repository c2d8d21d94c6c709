import { type Accessor, createEffect } from 'solid-js';

/** Names the tab after what it shows. Every page does, so that no page leaves its name to the next. */
export function createTitle(name: Accessor<string>): void {
  createEffect(() => {
    document.title = `${name()} · Muster`;
  });
}
