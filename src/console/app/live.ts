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
  freeze: ['freezes', 'requests', 'forecast'],
  breakglass: ['break-glass', 'requests', 'forecast'],
  revocation: ['revocations', 'forecast'],
  policy: ['policy', 'environments', 'requests', 'forecast', 'access'],
};

/** The beginnings of what is read again after an event. */
function keysOf({ type, flags, request }: EventView): readonly string[] {
  return [
    ...READ_AGAIN[type],
    ...(flags.length === 0 ? [] : ['flags', 'organizations']),
    ...(request?.kind === 'revocation.lift' ? ['revocations'] : []),
  ];
}

/**
 * Follows what happens, and reads again what it is about. Only a page that somebody sees has a stream: browsers open few
 * connections to one place, and all tabs share them.
 */
export function useLiveEvents(): void {
  const queries = useQueryClient();
  useEffect(() => {
    let stream: EventSource | null = null;
    let timer: ReturnType<typeof setTimeout> | undefined;
    // A stream that was refused begins at the end: nothing tells what happened meanwhile.
    let wasRefused = false;
    const readAgain = (keys: readonly string[]) => {
      for (const key of keys) queries.invalidateQueries({ queryKey: [key] }).catch(() => undefined);
    };
    const readAll = () => {
      queries.invalidateQueries().catch(() => undefined);
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
      for (const type of Object.keys(READ_AGAIN)) {
        opened.addEventListener(type, ({ data }) => readAgain(keysOf(JSON.parse(data))));
      }
      // Too much has happened, or it is not known what.
      opened.addEventListener('reset', readAll);
      opened.addEventListener('open', () => {
        if (wasRefused) readAll();
        wasRefused = false;
      });
      opened.addEventListener('error', () => {
        // The browser connects again by itself, unless it was refused: then the session may be over.
        if (opened.readyState !== EventSource.CLOSED) return;
        close();
        wasRefused = true;
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
