import { type UseQueryResult, useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import type { InboxItem } from '../../../inbox/view.ts';
import type { Page } from '../../api/api.ts';
import { ownRequests, waitingForMe } from '../../api/queries.ts';
import { buttonClass } from '../../parts/button.tsx';
import { Empty } from '../../parts/empty.tsx';
import { FaultView } from '../../parts/fault.tsx';
import { PageHead } from '../../parts/page-head.tsx';
import { RequestList, useListKeys } from '../../parts/request-list.tsx';
import { Skeleton } from '../../parts/skeleton.tsx';
import styles from './inbox.module.css';

/** What waits on whoever is signed in, and what they wait for. */
export function InboxPage(): ReactNode {
  useListKeys();
  const waiting = useQuery(waitingForMe);
  const own = useQuery(ownRequests);
  const count = waiting.data?.items.length ?? 0;
  return (
    <>
      <PageHead title="Inbox" tab={count === 0 ? 'Inbox' : `(${count}) Inbox`}>
        <Link to="/propose" className={buttonClass('primary')}>
          Propose a change
        </Link>
      </PageHead>
      <div className={styles.sections}>
        <Part
          title="Waiting for you"
          answer={waiting}
          empty={
            <Empty
              title={
                waiting.data?.next_cursor == null
                  ? 'Nothing waits for you.'
                  : 'None of the oldest requests waits for you. Newer ones may.'
              }
            >
              <p>
                A request comes here when it misses an approval that one of your roles can give. Nobody
                approves what they wrote themselves.
              </p>
              <Link to="/requests">Look at all requests</Link>
            </Empty>
          }
        />
        <Part
          title="Yours"
          answer={own}
          empty={
            <Empty title="None of your requests is open.">
              <p>
                What you propose is applied at once if policy asks for nothing more. Otherwise it is held, and
                stands here with what it waits for.
              </p>
              <Link to="/propose">Propose a change</Link>
            </Empty>
          }
        />
      </div>
    </>
  );
}

function Part({
  title,
  answer: { data, error, isPending },
  empty,
}: {
  title: string;
  answer: UseQueryResult<Page<InboxItem>>;
  empty: ReactNode;
}) {
  const items = data?.items ?? [];
  const itemOf = new Map(items.map((item) => [item.request.id, item]));
  return (
    <section aria-label={title}>
      <h2>
        {title}{' '}
        {data !== undefined && (
          <span className={styles.count}>
            {items.length}
            {data.next_cursor === null ? '' : '+'}
          </span>
        )}
      </h2>
      {error !== null && <FaultView fault={error} />}
      {isPending && <Skeleton />}
      {data !== undefined && items.length === 0 && empty}
      {items.length > 0 && (
        <RequestList
          label={title}
          requests={items.map(({ request }) => request)}
          why={({ id }) => whyOf(itemOf.get(id))}
        />
      )}
    </section>
  );
}

/** Why a request waits for the person. */
function whyOf(item: InboxItem | undefined): string | null {
  if (item === undefined || item.clears.length === 0) return null;
  const roles = item.clears.map(({ role, organization }) =>
    organization === null ? role : `${role} for ${organization}`,
  );
  return `You could approve as ${roles.join(', ')}${item.needs_sign_in ? ', after a new sign-in' : ''}`;
}
