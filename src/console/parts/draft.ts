import { useCallback, useState } from 'react';

/*
 * What a person has typed and not sent. It is kept in the tab, under the name of the person, so that a sign-in in between
 * loses nothing, and nobody else finds it who signs in here.
 */

const PREFIX = 'countersign.draft';

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
  const kept = sessionStorage.getItem(key);
  return kept === null ? null : (JSON.parse(kept) as T);
}

/** Forgets what anybody else has typed in this tab. */
export function forgetDraftsOfOthers(person: string): void {
  for (const key of Object.keys(sessionStorage)) {
    if (!key.startsWith(`${PREFIX} `)) continue;
    const [owner] = JSON.parse(key.slice(PREFIX.length + 1)) as [string, string];
    if (owner !== person) sessionStorage.removeItem(key);
  }
}
