import { useQuery } from '@tanstack/react-query';
import { getRouteApi, Link } from '@tanstack/react-router';
import { api } from '../../api/api.ts';
import { REFRESH_MS } from '../../api/queries.ts';
import { buttonClass } from '../../parts/button.tsx';
import { Empty } from '../../parts/empty.tsx';
import { FaultView } from '../../parts/fault.tsx';
import { Moment } from '../../parts/moment.tsx';
import { Skeleton } from '../../parts/skeleton.tsx';
import { Untrusted } from '../../parts/untrusted.tsx';
import styles from './incident.module.css';
import type { Incident } from './incident-fields.tsx';
import { LiftForm } from './lift-form.tsx';
import { RevokeForm } from './revoke-form.tsx';
import { KIND_WORDS } from './revoked-kinds.ts';

const route = getRouteApi('/incident');

/** Revokes, and shows what is revoked. */
export function Revocations({ incident }: { incident: Incident }) {
  const { lift } = route.useSearch();
  const { data, error, isPending } = useQuery({
    queryKey: ['revocations', 'active'],
    queryFn: ({ signal }) => api('listRevocations', { query: { state: 'active', limit: 100 }, signal }),
    refetchInterval: REFRESH_MS,
    retry: false,
  });
  const items = data?.items.filter(({ cause }) => cause === 'incident') ?? [];
  return (
    <div className={styles.form}>
      <RevokeForm incident={incident} />
      <h3>In force</h3>
      {isPending && <Skeleton />}
      {error !== null && <FaultView fault={error} />}
      {data !== undefined && items.length === 0 && (
        <Empty title="Nothing is revoked.">
          <p>What somebody revokes here stands in this list until it is lifted, which takes two persons.</p>
        </Empty>
      )}
      {items.length > 0 && (
        <ul className={styles.rows} aria-label="Revocations in force">
          {items.map(({ id, kind, value, issued_before_ms, created_by, created_ms, ...each }) => (
            <li key={id} className={styles.row}>
              <div>
                <p>
                  <strong>
                    {KIND_WORDS[kind].name} <Untrusted text={value} />
                  </strong>
                  {issued_before_ms !== null && (
                    <>
                      , issued before <Moment ms={issued_before_ms} as="full" />
                    </>
                  )}
                </p>
                <p className={styles.muted}>
                  <Moment ms={created_ms} />, by <Untrusted text={created_by.person ?? created_by.id} />, for{' '}
                  <Untrusted text={each.incident} />: <Untrusted text={each.reason} />
                </p>
              </div>
              {lift === id ? (
                <LiftForm
                  content={{ kind: 'revocation.lift', revocation: id }}
                  id={id}
                  incident={each.incident}
                  what={`the revocation of ${KIND_WORDS[kind].name.toLowerCase()} ${value}`}
                />
              ) : (
                <Link
                  to="/incident"
                  search={(now) => ({ ...now, lift: id })}
                  className={buttonClass()}
                  resetScroll={false}
                >
                  Lift this revocation…
                </Link>
              )}
            </li>
          ))}
        </ul>
      )}
      {data?.next_cursor != null && (
        <p className={styles.muted}>There are older ones: countersign revocations list</p>
      )}
    </div>
  );
}
