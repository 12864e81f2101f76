import { expect, it } from 'vitest';
import { actionFor, keyLabel, SHORTCUTS, type Place } from './keys';

const press = (key: string, ctrlKey = false) => ({ key, ctrlKey, metaKey: false, altKey: false });

it('does what the issue and the page say', () => {
  const expected: [string, string][] = [
    ['ArrowDown', 'next'], ['ArrowUp', 'previous'], ['f', 'next'], ['b', 'previous'], ['ArrowLeft', 'close'], ['ArrowRight', 'open'],
    ['Home', 'first'], ['End', 'last'], ['w', 'pageUp'], ['s', 'pageDown'], ['a', 'panLeft'], ['d', 'panRight'], ['[', 'closeAll'],
    [']', 'openAll'], ['/', 'find'], ['c', 'pathOnly'], ['e', 'nextError'], ['Escape', 'clear'],
  ];
  for (const [key, action] of expected) expect(actionFor(press(key), 'trace'), key).toBe(action);
  expect(actionFor(press('ArrowUp', true), 'trace')).toBe('zoomIn');
  expect(actionFor(press('ArrowDown', true), 'trace')).toBe('zoomOut');
});

it('leaves the browser its own keys', () => {
  expect(actionFor(press('f', true), 'trace')).toBeUndefined();
  expect(actionFor(press('c', true), 'trace')).toBeUndefined();
  expect(actionFor({ ...press('ArrowLeft'), altKey: true }, 'trace')).toBeUndefined();
});

it('has one action for a key at a place', () => {
  for (const place of ['everywhere', 'search', 'trace'] satisfies Place[]) {
    const keys = SHORTCUTS.filter((shortcut) => shortcut.place === place).flatMap((shortcut) => shortcut.keys);
    expect(new Set(keys).size).toBe(keys.length);
  }
});

it('names keys', () => {
  expect(keyLabel('Ctrl+ArrowUp')).toBe('Ctrl ↑');
  expect(keyLabel('?')).toBe('?');
});
