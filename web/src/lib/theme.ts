// Light, dark, or as the system says.

export type Theme = 'auto' | 'light' | 'dark';

/** Sent on the window after the colours changed, for what is drawn on a canvas. */
export const THEME_EVENT = 'rootspan-theme';

const KEY = 'rootspan.theme';

export function storedTheme(): Theme {
  try {
    const stored = localStorage.getItem(KEY);
    return stored === 'light' || stored === 'dark' ? stored : 'auto';
  } catch {
    return 'auto';
  }
}

export function applyTheme(theme: Theme): void {
  if (theme === 'auto') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = theme;
  window.dispatchEvent(new Event(THEME_EVENT));
}

export function chooseTheme(theme: Theme): void {
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // Storage may be forbidden; the choice then lasts until the page is closed.
  }
  applyTheme(theme);
}

/** Calls `changed` whenever the colours in force may be others; returns how to stop. */
export function onThemeChange(changed: () => void): () => void {
  const system = matchMedia('(prefers-color-scheme: dark)');
  window.addEventListener(THEME_EVENT, changed);
  system.addEventListener('change', changed);
  return () => {
    window.removeEventListener(THEME_EVENT, changed);
    system.removeEventListener('change', changed);
  };
}
