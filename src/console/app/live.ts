import { useQueryClient } from '@tanstack/react-query';
import { useEffect } from 'react';
import type { EventView } from '../../events/view.ts';
import { whoami } from '../api/queries.ts';

/** How long a stream that was refused is left alone, in milliseconds. */
const AGAIN_MS = 15_000;

/** How long events are collected, at least, in milliseconds. As much again by chance, so that not all consoles ask at once. */
const COLLECT_MS = 1000;

/** What is read again after each type of event. */
const READ_AGAIN: Readonly<Record<EventView['type'], readonly string[]>> = {
  request: ['request', 'requests'],
  vote: ['request', 'requests'],
  comment: ['request', 'requests'],
  freeze: ['freezes', 'requests', 'forecast'],
  breakglass: ['break-glass', 'request', 'requests', 'forecast'],
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
    let flush: ReturnType<typeof setTimeout> | undefined;
    const collected = new Set<string>();
    const readCollected = () => {
      flush = undefined;
      for (const key of collected) {
        // What is being read is let finish, and read once more: it may have begun before the event.
        if (queries.isFetching({ queryKey: [key] }) > 0) continue;
        collected.delete(key);
        queries.invalidateQueries({ queryKey: [key] }).catch(() => undefined);
      }
      if (collected.size > 0) readAgain([]);
    };
    const readAgain = (keys: readonly string[]) => {
      for (const key of keys) collected.add(key);
      flush ??= setTimeout(readCollected, COLLECT_MS * (1 + Math.random()));
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
      clearTimeout(flush);
      close();
    };
  }, [queries]);
}
