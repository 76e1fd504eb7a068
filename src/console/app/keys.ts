import { useNavigate } from '@tanstack/react-router';
import { useEffect, useRef } from 'react';
import { useLetterKeys } from '../parts/letter-keys.ts';
import { PLACES } from './places.ts';

/** The keys of every page: Ctrl K or Cmd K, `?`, and `g` with the key of a page. */
export function useConsoleKeys(open: (what: 'palette' | 'keys') => void): void {
  const navigate = useNavigate();
  const went = useRef(0);
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
      key,
      () => {
        if (performance.now() - went.current > 1500) return;
        went.current = 0;
        navigate({ to }).catch(() => undefined);
      },
    ]),
  );
  useLetterKeys({
    ...goTo,
    '?': () => open('keys'),
    g: () => {
      went.current = performance.now();
    },
  });
}
