import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useEffect, useRef, useSyncExternalStore } from 'react';
import { namedFreezes, onFreezesChanged } from '../api/freezes.ts';
import { activeFreezes } from '../api/queries.ts';
import { announce } from '../parts/announce.tsx';
import { scopeInWords } from '../parts/freeze-words.ts';
import { Moment } from '../parts/moment.tsx';
import { Untrusted } from '../parts/untrusted.tsx';
import styles from './freeze-banner.module.css';

/** The active freezes, above every page: whoever changes something must know why it does not happen. */
export function FreezeBanner() {
  const queries = useQueryClient();
  const { data, error } = useQuery(activeFreezes);
  useEffect(
    () =>
      onFreezesChanged(() => {
        queries.invalidateQueries({ queryKey: ['freezes'] }).catch(() => undefined);
      }),
    [queries],
  );
  const freezes = data?.items;
  const named = useSyncExternalStore(onFreezesChanged, namedFreezes);
  const words = (freezes ?? []).map((freeze) => `Frozen: ${scopeInWords(freeze)}.`).join(' ');
  // On a page that was just opened, the banner is read with it.
  const before = useRef<string | null>(null);
  useEffect(() => {
    if (freezes === undefined) return;
    if (before.current !== null && before.current !== words) announce(words || 'Nothing is frozen any more.');
    before.current = words;
  }, [freezes, words]);
  if (error !== null && named !== null && (freezes ?? []).length === 0) {
    return (
      <section className={styles.banner} aria-label="Active freezes">
        <p>
          <strong>Something is frozen.</strong> Its list cannot be read at the moment. Changes of it wait
          until the freeze is lifted; flags are still served. <Link to="/incident">Incident page</Link>
        </p>
      </section>
    );
  }
  if (freezes === undefined || freezes.length === 0) return null;
  return (
    <section className={styles.banner} aria-label="Active freezes">
      {freezes.map(({ incident, engaged_ms, engaged_by, ...freeze }) => (
        <p key={freeze.id}>
          <strong>Frozen: {scopeInWords(freeze)}.</strong> Changes wait until the freeze is lifted; flags are
          still served. Engaged by <Untrusted text={engaged_by.person ?? engaged_by.id} />{' '}
          <Moment ms={engaged_ms} /> for incident <Untrusted text={incident} />.{' '}
          <Link to="/incident">Incident page</Link>
        </p>
      ))}
    </section>
  );
}
