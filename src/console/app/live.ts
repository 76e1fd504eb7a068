import { useQueryClient } from '@tanstack/react-query';
import { useEffect } from 'react';
import type { EventView } from '../../events/view.ts';
import { whoami } from '../api/queries.ts';

/** How long a stream that was refused is left alone, in milliseconds. */
const AGAIN_MS = 15_000;

/** What is read again after each type of event. */
const READ_AGAIN: Readonly<Record<EventView['type'], readonly string[]>> = {
  request: ['request', 'requests'],
  vote: ['request', 'requests'],
  comment: ['request', 'requests'],
  flag: ['flags', 'organizations', 'request'],
  freeze: ['freezes', 'requests'],
  breakglass: ['break-glass', 'requests'],
  policy: ['policy', 'environments', 'requests', 'forecast'],
  other: [],
};

/**
 * Follows what happens, and reads again what it is about. Only a page that somebody sees has a stream: browsers open few
 * connections to one place, and all tabs share them.
 */
export function useLiveEvents(): void {
  const queries = useQueryClient();
  useEffect(() => {
    let stream: EventSource | null = null;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const readAgain = (keys: readonly string[]) => {
      for (const key of keys) queries.invalidateQueries({ queryKey: [key] }).catch(() => undefined);
    };
    const open = () => {
      clearTimeout(timer);
      stream ??= follow();
    };
    const close = () => {
      clearTimeout(timer);
      stream?.close();
      stream = null;
    };
    const follow = () => {
      const opened = new EventSource('/v1/events');
      for (const [type, keys] of Object.entries(READ_AGAIN)) {
        opened.addEventListener(type, () => readAgain(keys));
      }
      // Too much has happened, or it is not known what.
      opened.addEventListener('reset', () => queries.invalidateQueries().catch(() => undefined));
      opened.addEventListener('error', () => {
        // The browser connects again by itself, unless it was refused: then the session may be over.
        if (opened.readyState !== EventSource.CLOSED) return;
        close();
        readAgain(whoami.queryKey);
        timer = setTimeout(open, AGAIN_MS);
      });
      return opened;
    };
    const look = () => {
      if (document.visibilityState === 'visible') open();
      else close();
    };
    look();
    document.addEventListener('visibilitychange', look);
    return () => {
      document.removeEventListener('visibilitychange', look);
      close();
    };
  }, [queries]);
}
