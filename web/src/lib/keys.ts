// The keyboard: one table decides what a key does and what the shortcuts dialog says.

/** What a key asks for. */
export type Action =
  | 'next' | 'previous' | 'close' | 'open' | 'first' | 'last' | 'pageDown' | 'pageUp' | 'activate'
  | 'panLeft' | 'panRight' | 'zoomIn' | 'zoomOut' | 'openAll' | 'closeAll' | 'find' | 'pathOnly' | 'nextError' | 'clear'
  | 'help' | 'focusQuery' | 'nextResult' | 'previousResult';

/** Where a shortcut works. */
export type Place = 'everywhere' | 'search' | 'edge' | 'trace';

/** One line of the table. `keys` are `KeyboardEvent.key` values, `Ctrl+` before them where needed. */
export interface Shortcut {
  action: Action;
  keys: string[];
  place: Place;
  label: string;
}

export const SHORTCUTS: Shortcut[] = [
  { action: 'help', keys: ['?'], place: 'everywhere', label: 'Show keyboard shortcuts' },
  { action: 'focusQuery', keys: ['/'], place: 'search', label: 'Go to the query' },
  { action: 'nextResult', keys: ['ArrowDown', 'j'], place: 'search', label: 'Next trace' },
  { action: 'previousResult', keys: ['ArrowUp', 'k'], place: 'search', label: 'Previous trace' },
  { action: 'nextResult', keys: ['ArrowDown', 'j'], place: 'edge', label: 'Next row of the table' },
  { action: 'previousResult', keys: ['ArrowUp', 'k'], place: 'edge', label: 'Previous row of the table' },
  { action: 'next', keys: ['ArrowDown', 'f'], place: 'trace', label: 'Next row' },
  { action: 'previous', keys: ['ArrowUp', 'b'], place: 'trace', label: 'Previous row' },
  { action: 'open', keys: ['ArrowRight'], place: 'trace', label: 'Open the row, or go to its first child' },
  { action: 'close', keys: ['ArrowLeft'], place: 'trace', label: 'Close the row, or go to its parent' },
  { action: 'activate', keys: ['Enter', ' '], place: 'trace', label: 'Open or close the row' },
  { action: 'first', keys: ['Home'], place: 'trace', label: 'First row' },
  { action: 'last', keys: ['End'], place: 'trace', label: 'Last row' },
  { action: 'pageUp', keys: ['w', 'PageUp'], place: 'trace', label: 'Page up' },
  { action: 'pageDown', keys: ['s', 'PageDown'], place: 'trace', label: 'Page down' },
  { action: 'panLeft', keys: ['a'], place: 'trace', label: 'Earlier' },
  { action: 'panRight', keys: ['d'], place: 'trace', label: 'Later' },
  { action: 'zoomIn', keys: ['Ctrl+ArrowUp', '+'], place: 'trace', label: 'Zoom in' },
  { action: 'zoomOut', keys: ['Ctrl+ArrowDown', '-'], place: 'trace', label: 'Zoom out' },
  { action: 'closeAll', keys: ['['], place: 'trace', label: 'Close all rows' },
  { action: 'openAll', keys: [']'], place: 'trace', label: 'Open all rows' },
  { action: 'find', keys: ['/'], place: 'trace', label: 'Search in the trace' },
  { action: 'pathOnly', keys: ['c'], place: 'trace', label: 'Critical path only' },
  { action: 'nextError', keys: ['e'], place: 'trace', label: 'Next error' },
  { action: 'clear', keys: ['Escape'], place: 'trace', label: 'Clear selection, search and zoom' },
];

/** The part of a `KeyboardEvent` that decides. */
export interface KeyPress {
  key: string;
  ctrlKey: boolean;
  metaKey: boolean;
  altKey: boolean;
}

/** The action of a key press at a place. */
export function actionFor(press: KeyPress, place: Place): Action | undefined {
  if (press.altKey) return undefined;
  const key = press.ctrlKey || press.metaKey ? `Ctrl+${press.key}` : press.key;
  return SHORTCUTS.find((shortcut) => shortcut.place === place && shortcut.keys.includes(key))?.action;
}

/** A key as the dialog shows it. */
export function keyLabel(key: string): string {
  const names: Record<string, string> = {
    ArrowUp: '↑', ArrowDown: '↓', ArrowLeft: '←', ArrowRight: '→', ' ': 'Space', Escape: 'Esc', PageUp: 'Page up', PageDown: 'Page down',
  };
  const parts = key.length > 1 && key.startsWith('Ctrl+') ? ['Ctrl', key.slice(5)] : [key];
  return parts.map((part) => names[part] ?? part).join(' ');
}

/** Whether keys typed here are text, not shortcuts. */
export function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  return target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);
}
