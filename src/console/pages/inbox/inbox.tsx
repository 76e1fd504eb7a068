import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { api } from '../../api/api.ts';
import { REFRESH_MS } from '../../api/queries.ts';
import { usePerson } from '../../app/session.tsx';
import { buttonClass } from '../../parts/button.tsx';
import { Empty } from '../../parts/empty.tsx';
import { FaultView } from '../../parts/fault.tsx';
import { PageHead } from '../../parts/page-head.tsx';
import { RequestList, useListKeys } from '../../parts/request-list.tsx';
import { Skeleton } from '../../parts/skeleton.tsx';
import styles from './inbox.module.css';

/** What waits on whoever is signed in, and what they wait for. */
export function InboxPage() {
  const person = usePerson();
  useListKeys();
  const { data, error, isPending } = useQuery({
    queryKey: ['requests', 'open'],
    queryFn: ({ signal }) => api('listRequests', { query: { state: ['open'], limit: 200 }, signal }),
    refetchInterval: REFRESH_MS,
  });
  const open = data?.items ?? [];
  const mine = open.filter(
    ({ authors, proposer }) => proposer.person === person || authors.includes(person ?? ''),
  );
  const others = open.filter((request) => !mine.includes(request)).reverse();
  const count = others.length;
  return (
    <>
      <PageHead title="Inbox" tab={count === 0 ? 'Inbox' : `(${count}) Inbox`}>
        <Link to="/propose" className={buttonClass('primary')}>
          Propose a change
        </Link>
      </PageHead>
      {error !== null && <FaultView fault={error} />}
      {isPending && <Skeleton />}
      {data !== undefined && (
        <div className={styles.sections}>
          <section aria-labelledby="others">
            <h2 id="others">
              Open requests of others <span className={styles.count}>{count}</span>
            </h2>
            {count === 0 ? (
              <Empty title="Nothing waits.">
                <p>Requests of other people come here while something is missing that somebody can give.</p>
              </Empty>
            ) : (
              <RequestList label="Open requests of others" requests={others} />
            )}
          </section>
          <section aria-labelledby="mine">
            <h2 id="mine">
              Yours <span className={styles.count}>{mine.length}</span>
            </h2>
            {mine.length === 0 ? (
              <Empty title="None of your requests is open.">
                <p>
                  What you propose is applied at once if policy asks for nothing more. Otherwise it is held,
                  and stands here with what it waits for.
                </p>
                <Link to="/propose">Propose a change</Link>
              </Empty>
            ) : (
              <RequestList label="Your open requests" requests={mine} />
            )}
          </section>
        </div>
      )}
    </>
  );
}
