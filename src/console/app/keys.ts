import { useNavigate } from '@tanstack/react-router';
import { useEffect } from 'react';
import { useLetterKeys } from '../parts/letter-keys.ts';
import { PLACES } from './places.ts';

/** The keys of every page: Ctrl K or Cmd K, `?`, and `g` with the key of a page. */
export function useConsoleKeys(open: (what: 'palette' | 'keys') => void): void {
  const navigate = useNavigate();
  useEffect(() => {
    const listen = (event: KeyboardEvent) => {
      if (
        event.key.toLowerCase() !== 'k' ||
        !(event.ctrlKey || event.metaKey) ||
        event.altKey ||
        event.shiftKey
      )
        return;
      event.preventDefault();
      open('palette');
    };
    document.addEventListener('keydown', listen);
    return () => document.removeEventListener('keydown', listen);
  }, [open]);
  const goTo = Object.fromEntries(
    PLACES.map(({ key, to }) => [
      `g ${key}`,
      () => {
        navigate({ to }).catch(() => undefined);
      },
    ]),
  );
  useLetterKeys({ ...goTo, '?': () => open('keys') });
}
