import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Link, useSearch } from '@tanstack/react-router';
import { api } from '../../api/api.ts';
import { Button, buttonClass } from '../../parts/button.tsx';
import { Empty } from '../../parts/empty.tsx';
import { FaultView } from '../../parts/fault.tsx';
import { PageHead } from '../../parts/page-head.tsx';
import { useListKeys } from '../../parts/request-list.tsx';
import { Skeleton } from '../../parts/skeleton.tsx';
import styles from './audit.module.css';
import { Filters } from './filters.tsx';
import { LogHealth } from './log-health.tsx';
import { RecordList } from './record-list.tsx';
import type { AuditSearch } from './search.ts';

/** How many decisions a page has. */
const PAGE = 50;

/** The decision log: questions to it, and its health. */
export function AuditPage() {
  const search = useSearch({ from: '/audit' });
  useListKeys();
  return (
    <div className={styles.page}>
      <PageHead title="Audit" />
      <Filters key={JSON.stringify({ ...search, cursor: null })} search={search} />
      <Decisions search={search} />
      <LogHealth />
    </div>
  );
}

function Decisions({ search }: { search: AuditSearch }) {
  const queries = useQueryClient();
  const queryKey = ['decisions', search];
  // Whoever reads the log is recorded in it, so nothing here reads it by itself.
  const { data, error, isPending, isFetching } = useQuery({
    queryKey,
    queryFn: ({ signal }) => api('listDecisions', { query: { ...search, limit: PAGE }, signal }),
    staleTime: Number.POSITIVE_INFINITY,
    refetchOnWindowFocus: false,
    retry: false,
  });
  const { cursor, ...filters } = search;
  return (
    <section aria-labelledby="decisions" className={styles.section}>
      <div className={styles.head}>
        <h2 id="decisions">{cursor === undefined ? 'Decisions, newest first' : 'Older decisions'}</h2>
        <Button
          kind="quiet"
          isPending={isFetching && !isPending}
          onPress={() => {
            queries.invalidateQueries({ queryKey }).catch(() => undefined);
          }}
        >
          Read again
        </Button>
      </div>
      {error !== null && <FaultView fault={error} />}
      {isPending && <Skeleton lines={8} />}
      {data !== undefined && data.items.length > 0 && <RecordList label="Decisions" records={data.items} />}
      {data !== undefined && data.items.length === 0 && data.next_cursor === null && (
        <Empty title="No decision fits.">
          <p>
            Every answer of the policy is a record here: who asked, for what, and why it was allowed, held or
            denied. Take a filter away, or look at a longer time.
          </p>
        </Empty>
      )}
      {data !== undefined && data.items.length === 0 && data.next_cursor !== null && (
        <Empty title="No decision of this part of the log fits.">
          <p>The log is read in parts. Go on with the older ones, or choose a flag or a shorter time.</p>
        </Empty>
      )}
      <div className={styles.pages}>
        {cursor !== undefined && (
          <Link to="/audit" search={filters} className={buttonClass()}>
            Newest
          </Link>
        )}
        {typeof data?.next_cursor === 'string' && (
          <Link to="/audit" search={{ ...filters, cursor: data.next_cursor }} className={buttonClass()}>
            Older
          </Link>
        )}
      </div>
    </section>
  );
}
