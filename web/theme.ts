import { type Accessor, createEffect, createSignal, onCleanup } from 'solid-js';

export const THEMES = ['auto', 'light', 'dark'] as const;
export type Theme = (typeof THEMES)[number];

const STORAGE_KEY = 'muster.theme';

export type ThemeChoice = {
  readonly theme: Accessor<Theme>;
  readonly choose: (theme: Theme) => void;
  /** Changes whenever colours do, by choice or by the system; whoever paints by hand reads it. */
  readonly colours: Accessor<number>;
};

/** Which colours the page wears: those of the system unless someone chose. */
export function createTheme(): ThemeChoice {
  const [theme, setTheme] = createSignal<Theme>(readTheme());
  const [colours, setColours] = createSignal(0);
  createEffect(() => {
    document.documentElement.dataset['theme'] = theme();
    setColours((version) => version + 1);
  });
  const system = window.matchMedia('(prefers-color-scheme: dark)');
  const follow = (): void => {
    setColours((version) => version + 1);
  };
  system.addEventListener('change', follow);
  onCleanup(() => system.removeEventListener('change', follow));
  return {
    theme,
    colours,
    choose: (chosen) => {
      setTheme(chosen);
      writeTheme(chosen);
    },
  };
}

// A browser may forbid storage; then the choice lasts as long as the page.
function readTheme(): Theme {
  try {
    const stored = window.localStorage.getItem(STORAGE_KEY);
    return THEMES.find((theme) => theme === stored) ?? 'auto';
  } catch {
    return 'auto';
  }
}

function writeTheme(theme: Theme): void {
  try {
    window.localStorage.setItem(STORAGE_KEY, theme);
  } catch {
    // Said above: it is then not kept.
  }
}
