import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { lazy, Suspense } from 'react';
import { api } from '../../api/api.ts';
import { Button, buttonClass } from '../../parts/button.tsx';
import { Empty } from '../../parts/empty.tsx';
import { FaultView } from '../../parts/fault.tsx';
import { Choice } from '../../parts/fields.tsx';
import { PageHead } from '../../parts/page-head.tsx';
import { Panel } from '../../parts/panel.tsx';
import { useListKeys } from '../../parts/request-list.tsx';
import { Skeleton } from '../../parts/skeleton.tsx';
import styles from './audit.module.css';
import { Filters } from './filters.tsx';
import { LogHealth } from './log-health.tsx';
import { RecordList } from './record-list.tsx';
import type { AuditSearch } from './search.ts';

const Charts = lazy(() => import('./charts.tsx').then(({ Charts }) => ({ default: Charts })));

/** How many decisions a page has. */
const PAGE = 50;

/** The decision log: questions to it, and its health. */
export function AuditPage() {
  const search = useSearch({ from: '/audit' });
  useListKeys();
  return (
    <div className={styles.page}>
      <PageHead title="Audit">
        <span className={styles.acts}>
          <Link to="/audit" search={search} hash="days">
            Day by day
          </Link>
          <Link to="/audit" search={search} hash="health">
            Health of the log
          </Link>
        </span>
      </PageHead>
      <Filters key={JSON.stringify({ ...search, cursor: null, days: null })} search={search} />
      <Decisions search={search} />
      <div id="days" className={styles.anchor}>
        <ChartsPanel search={search} />
      </div>
      <div id="health" className={styles.anchor}>
        <LogHealth />
      </div>
    </div>
  );
}

const SPANS = [
  ['7', '7 days'],
  ['30', '30 days'],
  ['90', '90 days'],
  ['365', 'a year'],
] as const;

/** Charts for whoever asks: to count is to read the log, which is recorded. */
function ChartsPanel({ search }: { search: AuditSearch }) {
  const navigate = useNavigate();
  const { days } = search;
  const go = (next: number) => {
    navigate({ to: '/audit', search: { ...search, days: next }, resetScroll: false }).catch(() => undefined);
  };
  return (
    <Panel
      title="Day by day"
      aside={
        days === undefined ? (
          <Button onPress={() => go(30)}>Draw the last 30 days</Button>
        ) : (
          <Choice
            label="The last"
            value={String(days)}
            options={
              SPANS.some(([each]) => each === String(days))
                ? SPANS
                : [...SPANS, [String(days), `${days} days`]]
            }
            onChange={(next) => go(Number(next))}
          />
        )
      }
    >
      {days === undefined ? (
        <p className={styles.note}>Changes, holds, denials, and how long requests waited.</p>
      ) : (
        <Suspense fallback={<Skeleton />}>
          <Charts days={days} />
        </Suspense>
      )}
    </Panel>
  );
}

function Decisions({ search }: { search: AuditSearch }) {
  const queries = useQueryClient();
  const { days: _, ...asked } = search;
  const queryKey = ['decisions', asked];
  // Whoever reads the log is recorded in it, so nothing here reads it by itself, and what was asked is not asked again
  // because a part of the page was drawn anew meanwhile: it has no signal.
  const { data, error, isPending, isFetching } = useQuery({
    queryKey,
    queryFn: () => api('listDecisions', { query: { ...asked, limit: PAGE } }),
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
