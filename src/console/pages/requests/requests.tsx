import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import { api } from '../../api/api.ts';
import { environments, REFRESH_MS } from '../../api/queries.ts';
import { useSession } from '../../app/session.tsx';
import { buttonClass } from '../../parts/button.tsx';
import { Empty } from '../../parts/empty.tsx';
import { FaultView } from '../../parts/fault.tsx';
import { Choice, TextField } from '../../parts/fields.tsx';
import { PageHead } from '../../parts/page-head.tsx';
import { RequestList, useListKeys } from '../../parts/request-list.tsx';
import { Skeleton } from '../../parts/skeleton.tsx';
import styles from './requests.module.css';
import { type RequestsSearch, TABS } from './search.ts';

const route = getRouteApi('/requests');

const TAB_WORDS: Readonly<Record<(typeof TABS)[number], string>> = {
  open: 'Open',
  mine: 'Mine',
  closed: 'Closed',
};

const CLOSED = ['applied', 'rejected', 'withdrawn', 'expired', 'conflicted'] as const;

/** All requests that the person may read, a page at a time. */
export function RequestsPage(): ReactNode {
  const search = route.useSearch();
  const { principal } = useSession();
  const navigate = useNavigate({ from: '/requests' });
  useListKeys();
  const { tab = 'open', environment, flag, cursor } = search;
  const { data, error, isPending, isPlaceholderData } = useQuery({
    queryKey: ['requests', 'list', search],
    queryFn: ({ signal }) =>
      api('listRequests', {
        query: {
          limit: 50,
          ...(tab === 'open' ? { state: ['open'] } : {}),
          ...(tab === 'closed' ? { state: [...CLOSED] } : {}),
          ...(tab === 'mine' ? { proposer: principal.id } : {}),
          ...(environment === undefined ? {} : { environment }),
          ...(flag === undefined ? {} : { flag }),
          ...(cursor === undefined ? {} : { cursor }),
        },
        signal,
      }),
    placeholderData: keepPreviousData,
    refetchInterval: cursor === undefined ? REFRESH_MS : false,
  });
  const known = useQuery(environments);
  const change = (part: RequestsSearch) => {
    navigate({ search: (now) => ({ ...now, cursor: undefined, ...part }), replace: true }).catch(
      () => undefined,
    );
  };
  return (
    <>
      <PageHead title="Requests">
        <Link to="/propose" className={buttonClass('primary')}>
          Propose a change
        </Link>
      </PageHead>
      <div className={styles.filters}>
        <nav className={styles.tabs} aria-label="Which requests">
          {TABS.map((each) => (
            <Link
              key={each}
              to="/requests"
              search={{ ...search, tab: each, cursor: undefined }}
              aria-current={each === tab ? 'page' : undefined}
            >
              {TAB_WORDS[each]}
            </Link>
          ))}
        </nav>
        <Choice
          label="Environment"
          value={environment ?? ''}
          options={[['', 'all'], ...(known.data ?? []).map((each) => [each, each] as const)]}
          onChange={(value) => change({ environment: value === '' ? undefined : value })}
        />
        <FlagFilter
          key={flag}
          value={flag ?? ''}
          onChange={(value) => change({ flag: value === '' ? undefined : value })}
        />
      </div>
      {error !== null && <FaultView fault={error} />}
      {isPending && <Skeleton lines={5} />}
      {data !== undefined && data.items.length === 0 && (
        <Empty title={tab === 'open' ? 'No request is open.' : 'No request fits.'}>
          <p>
            {data.next_cursor === null
              ? 'A change of a flag is always a request: policy decides whether it is applied at once, held until somebody approves, or refused.'
              : 'Among the newest ones; there are older ones.'}
          </p>
          <Link to="/propose">Propose a change</Link>
        </Empty>
      )}
      {data !== undefined && data.items.length > 0 && <RequestList label="Requests" requests={data.items} />}
      <div className={styles.pages}>
        {cursor !== undefined && (
          <Link to="/requests" search={{ ...search, cursor: undefined }} className={buttonClass()}>
            Newest
          </Link>
        )}
        {data?.next_cursor != null && !isPlaceholderData && (
          <Link to="/requests" search={{ ...search, cursor: data.next_cursor }} className={buttonClass()}>
            Older
          </Link>
        )}
      </div>
    </>
  );
}

/** It is asked for when the field is left, or with Enter: a key is whole or finds nothing. */
function FlagFilter({ value, onChange }: { value: string; onChange: (value: string) => void }) {
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        onChange(String(new FormData(event.currentTarget).get('flag') ?? '').trim());
      }}
    >
      <TextField label="Flag" name="flag" type="search" initial={value} placeholder="its whole key" />
    </form>
  );
}
