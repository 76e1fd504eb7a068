import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router';
import { type ReactNode, useEffect } from 'react';
import { environments } from '../../api/queries.ts';
import { Button, buttonClass } from '../../parts/button.tsx';
import { counted } from '../../parts/change-words.ts';
import { Empty } from '../../parts/empty.tsx';
import { FaultView } from '../../parts/fault.tsx';
import { FlagStateMark } from '../../parts/flag-state.tsx';
import { Hidden } from '../../parts/hidden.tsx';
import { Moment } from '../../parts/moment.tsx';
import { PageHead } from '../../parts/page-head.tsx';
import { useListKeys } from '../../parts/request-list.tsx';
import { Skeleton } from '../../parts/skeleton.tsx';
import { Untrusted } from '../../parts/untrusted.tsx';
import { Filters } from './filters.tsx';
import styles from './flags.module.css';
import { beginningOf, filterOf, type InventoryRow, nextRows, PAGE, readerOf } from './inventory.ts';
import type { FlagsSearch } from './search.ts';

const route = getRouteApi('/flags');

/** How many pages are read by themselves to fill the first: the broker looks at a few thousand flags for each. */
const MOST_PAGES = 30;

/** The flags that the person may read and that fit the filters, and their state in each environment. */
export function FlagsPage(): ReactNode {
  const search = route.useSearch();
  const navigate = useNavigate({ from: '/flags' });
  useListKeys();
  const known = useQuery(environments);
  const all = known.data ?? [];
  const shown = search.environment === undefined ? all : [search.environment];
  const filter = filterOf(search);
  const flags = useInfiniteQuery({
    queryKey: ['flags', 'list', shown, filter],
    queryFn: ({ pageParam, signal }) => nextRows(pageParam, readerOf(filter, signal)),
    initialPageParam: beginningOf(shown),
    getNextPageParam: ({ next }) => next,
    enabled: shown.length > 0,
    // Those of other environments would look like flags that may not be read here.
    placeholderData: (former, query) =>
      JSON.stringify(query?.queryKey[2]) === JSON.stringify(shown) ? former : undefined,
  });
  const rows = flags.data?.pages.flatMap((page) => page.rows) ?? [];
  const { hasNextPage, isFetching, isPlaceholderData, fetchNextPage } = flags;
  const isShort = rows.length < PAGE / 2 && (flags.data?.pages.length ?? 0) < MOST_PAGES;
  useEffect(() => {
    if (hasNextPage && isShort && !isFetching) fetchNextPage().catch(() => undefined);
  }, [hasNextPage, isShort, isFetching, fetchNextPage]);
  const change = (part: FlagsSearch) => {
    navigate({ search: (now) => ({ ...now, ...part }), replace: true, resetScroll: false }).catch(
      () => undefined,
    );
  };
  const isWhole = flags.data !== undefined && flags.error === null && !isFetching && !hasNextPage;
  return (
    <>
      <PageHead title="Flags">
        <Link to="/propose" className={buttonClass('primary')}>
          Create a flag
        </Link>
      </PageHead>
      <Filters search={search} environments={all} rows={rows} onChange={change} />
      {known.error !== null && <FaultView fault={known.error} />}
      {flags.error !== null && <FaultView fault={flags.error} />}
      {(known.isPending || (shown.length > 0 && isFetching && rows.length === 0)) && <Skeleton lines={5} />}
      {isWhole && rows.length === 0 && <NoFlags isFiltered={Object.keys(filter).length > 0} />}
      {flags.error === null && rows.length > 0 && (
        <div aria-busy={isPlaceholderData}>
          <FlagTable rows={rows} environments={shown} />
        </div>
      )}
      <div className={styles.more} role="status">
        {hasNextPage && (
          <Button isPending={isFetching} onPress={() => fetchNextPage()}>
            More flags
          </Button>
        )}
        {rows.length > 0 && !isPlaceholderData && (
          <span>
            {counted(rows.length, 'flag')}
            {hasNextPage && ', and there may be more'}
          </span>
        )}
      </div>
    </>
  );
}

function NoFlags({ isFiltered }: { isFiltered: boolean }) {
  if (isFiltered) {
    return (
      <Empty title="No flag fits.">
        <p>Owner and namespace have to be whole. Change the filters, or clear them.</p>
        <Link to="/flags">Clear the filters</Link>
      </Empty>
    );
  }
  return (
    <Empty title="There is no flag that you may read.">
      <p>
        A flag is created by a request, switched off in every environment. Policy decides who may do that, and
        who has to agree.
      </p>
      <Link to="/propose">Create a flag</Link>
      <Link to="/setup">What else a new installation misses</Link>
    </Empty>
  );
}

function FlagTable({
  rows,
  environments: shown,
}: {
  rows: readonly InventoryRow[];
  environments: readonly string[];
}) {
  return (
    <table className={styles.table}>
      <thead>
        <tr>
          <th scope="col">Flag</th>
          <th scope="col">Tier and kind</th>
          {shown.map((environment) => (
            <th key={environment} scope="col">
              {environment}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map(({ flag, states }) => (
          <tr key={flag.key}>
            <th scope="row">
              <Link to="/flags/$key" params={{ key: flag.key }} data-list-item>
                {flag.key}
              </Link>
              {flag.retired && <span className={styles.retired}>retired</span>}
              <p className={styles.purpose}>
                <Untrusted text={flag.purpose} />
              </p>
            </th>
            <td>
              {flag.tier}
              <br />
              <span className={styles.kind}>
                {flag.kind}
                {flag.expires_ms !== null && (
                  <>
                    , expires <Moment ms={flag.expires_ms} />
                  </>
                )}
              </span>
            </td>
            {shown.map((environment) => (
              <td key={environment} data-label={environment}>
                {environment in states ? (
                  <FlagStateMark state={states[environment]} />
                ) : (
                  <>
                    <span aria-hidden>–</span>
                    <Hidden>you may not read it there</Hidden>
                  </>
                )}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}
