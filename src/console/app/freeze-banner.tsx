import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useEffect } from 'react';
import { onFreezesChanged } from '../api/freezes.ts';
import { activeFreezes } from '../api/queries.ts';
import { scopeInWords } from '../parts/freeze-words.ts';
import { Moment } from '../parts/moment.tsx';
import { Untrusted } from '../parts/untrusted.tsx';
import styles from './freeze-banner.module.css';

/** The active freezes, above every page: whoever changes something must know why it does not happen. */
export function FreezeBanner() {
  const queries = useQueryClient();
  const { data } = useQuery(activeFreezes);
  useEffect(
    () =>
      onFreezesChanged(() => {
        queries.invalidateQueries({ queryKey: ['freezes'] }).catch(() => undefined);
      }),
    [queries],
  );
  const freezes = data?.items ?? [];
  if (freezes.length === 0) return null;
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
