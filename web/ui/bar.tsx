import type { JSX } from 'solid-js';

export type Severity = 'normal' | 'warning' | 'critical';

/** A small bar for a ratio 0…1. Its length and the text beside it say what the colour does. */
export function Bar(props: { readonly ratio: number | null; readonly severity: Severity }): JSX.Element {
  const width = (): string => `${Math.min(1, Math.max(0, props.ratio ?? 0)) * 100}%`;
  return (
    <span class="bar" data-severity={props.severity} aria-hidden="true">
      <span class="bar-fill" style={{ width: width() }} />
    </span>
  );
}
