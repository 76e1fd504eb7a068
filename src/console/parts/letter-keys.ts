import { useEffect, useRef } from 'react';

/** Where the choice is kept to have no keys of one letter. WCAG 2.1.4 */
const SETTING = 'countersign.letter-keys';

/** Whether keys of one letter do something. */
export function hasLetterKeys(): boolean {
  return localStorage.getItem(SETTING) !== 'off';
}

/** Turns keys of one letter on or off, in this browser. */
export function setLetterKeys(isOn: boolean): void {
  if (isOn) localStorage.removeItem(SETTING);
  else localStorage.setItem(SETTING, 'off');
}

/** Whether a key is meant for a field, or for a dialog above the page. */
function isTaken({
  target,
  ctrlKey,
  metaKey,
  altKey,
  isComposing,
  defaultPrevented,
}: KeyboardEvent): boolean {
  if (ctrlKey || metaKey || altKey || isComposing || defaultPrevented) return true;
  const element = target instanceof Element ? target : null;
  if (element?.closest('input, textarea, select, [contenteditable="true"], [role="textbox"]') != null)
    return true;
  return document.querySelector('[role="dialog"], [role="alertdialog"]') !== null;
}

/** How long the key after `g` is waited for, in milliseconds. */
const PREFIX_MS = 1500;

let prefixedAt = Number.NEGATIVE_INFINITY;
const combinations = new WeakMap<KeyboardEvent, string>();

/** The key of an event, with `g` before it if that was pressed just before. Every listener gets the same answer. */
function combinationOf(event: KeyboardEvent): string {
  const known = combinations.get(event);
  if (known !== undefined) return known;
  const isPrefixed = event.timeStamp - prefixedAt < PREFIX_MS && event.key !== 'g';
  const combination = isPrefixed ? `g ${event.key}` : event.key;
  prefixedAt = event.key === 'g' ? event.timeStamp : Number.NEGATIVE_INFINITY;
  combinations.set(event, combination);
  return combination;
}

/** Calls back for letters that no field takes. The functions are by key, such as `j` or `g i`. */
export function useLetterKeys(keys: Readonly<Record<string, () => void>>): void {
  const current = useRef(keys);
  current.current = keys;
  useEffect(() => {
    const listen = (event: KeyboardEvent) => {
      if (isTaken(event) || !hasLetterKeys()) return;
      const act = current.current[combinationOf(event)];
      if (act === undefined) return;
      event.preventDefault();
      act();
    };
    document.addEventListener('keydown', listen);
    return () => document.removeEventListener('keydown', listen);
  }, []);
}
