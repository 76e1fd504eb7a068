import { useCallback, useState } from 'react';

/*
 * What a person has typed and not sent. It is kept in the tab, under the name of the person, so that a sign-in in between
 * loses nothing, and nobody else finds it who signs in here.
 */

/** With the version of the shapes: a draft of another version is forgotten. */
const PREFIX = 'countersign.draft.2';
const ANY_VERSION = /^countersign\.draft\b/;

function keyOf(person: string, name: string): string {
  return `${PREFIX} ${JSON.stringify([person, name])}`;
}

/** A value that outlives a sign-in. @param name what it is a draft of */
export function useDraft<T>(person: string, name: string, initial: T): [T, (value: T) => void, () => void] {
  const key = keyOf(person, name);
  const [value, setValue] = useState<T>(() => read(key) ?? initial);
  const change = useCallback(
    (next: T) => {
      setValue(next);
      sessionStorage.setItem(key, JSON.stringify(next));
    },
    [key],
  );
  const forget = useCallback(() => {
    setValue(initial);
    sessionStorage.removeItem(key);
  }, [key, initial]);
  return [value, change, forget];
}

function read<T>(key: string): T | null {
  return parsed(sessionStorage.getItem(key)) as T | null;
}

/** Null for what is not JSON. */
function parsed(kept: string | null): unknown {
  try {
    return kept === null ? null : JSON.parse(kept);
  } catch {
    return null;
  }
}

/** Forgets what anybody else has typed in this tab. */
export function forgetDraftsOfOthers(person: string): void {
  for (const key of Object.keys(sessionStorage)) {
    if (!ANY_VERSION.test(key)) continue;
    const name = key.startsWith(`${PREFIX} `) ? parsed(key.slice(PREFIX.length + 1)) : null;
    if (!Array.isArray(name) || name[0] !== person) sessionStorage.removeItem(key);
  }
}
