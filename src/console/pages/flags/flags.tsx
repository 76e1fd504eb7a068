import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router';
import { type ReactNode, useEffect } from 'react';
import type { FlagState } from '../../../flags/model.ts';
import type { AnswerOf } from '../../../routes.ts';
import { api } from '../../api/api.ts';
import { environments } from '../../api/queries.ts';
import { Button, buttonClass } from '../../parts/button.tsx';
import { Empty } from '../../parts/empty.tsx';
import { FaultView } from '../../parts/fault.tsx';
import { Choice, TextField } from '../../parts/fields.tsx';
import { FlagStateMark } from '../../parts/flag-state.tsx';
import { PageHead } from '../../parts/page-head.tsx';
import { useListKeys } from '../../parts/request-list.tsx';
import { Skeleton } from '../../parts/skeleton.tsx';
import { Untrusted } from '../../parts/untrusted.tsx';
import styles from './flags.module.css';
import type { FlagsSearch } from './search.ts';

const route = getRouteApi('/flags');

type Listed = AnswerOf<'listFlags'>;

/** A flag with its states, by environment. */
interface Row {
  flag: Listed;
  states: Readonly<Record<string, FlagState | null>>;
}

/** How many flags one page of the broker has. */
const PAGE = 100;

/** How many flags are looked at by themselves to find some that fit the filters. */
const LOOK_AT = 1000;

const DAY_MS = 86_400_000;

/** Every flag that the person may read, and its state in each environment. */
export function FlagsPage(): ReactNode {
  const search = route.useSearch();
  const navigate = useNavigate({ from: '/flags' });
  useListKeys();
  const known = useQuery(environments);
  const all = known.data ?? [];
  const shown = search.environment === undefined ? all : all.filter((each) => each === search.environment);
  const flags = useInfiniteQuery({
    queryKey: ['flags', 'list', shown, search.namespace],
    queryFn: ({ pageParam, signal }) =>
      readPage(shown, { cursors: pageParam, namespace: search.namespace, signal }),
    initialPageParam: {} as Readonly<Record<string, string>>,
    getNextPageParam: ({ next }) => next,
    enabled: shown.length > 0,
  });
  const rows = flags.data?.pages.flatMap((page) => page.rows) ?? [];
  const fitting = rows.filter((row) => fits(row, search));
  const { hasNextPage, isFetching, fetchNextPage } = flags;
  const isShort = fitting.length < PAGE / 2 && rows.length < LOOK_AT;
  useEffect(() => {
    if (hasNextPage && isShort && !isFetching) fetchNextPage().catch(() => undefined);
  }, [hasNextPage, isShort, isFetching, fetchNextPage]);
  const change = (part: FlagsSearch) => {
    navigate({ search: (now) => ({ ...now, ...part }), replace: true, resetScroll: false }).catch(
      () => undefined,
    );
  };
  return (
    <>
      <PageHead title="Flags">
        <Link to="/propose" className={buttonClass('primary')}>
          Create a flag
        </Link>
      </PageHead>
      <Filters search={search} environments={all} onChange={change} />
      {known.error !== null && <FaultView fault={known.error} />}
      {flags.error !== null && <FaultView fault={flags.error} />}
      {(known.isPending || (flags.isPending && shown.length > 0)) && <Skeleton lines={5} />}
      {flags.data !== undefined && fitting.length === 0 && !isFetching && (
        <Empty title={rows.length === 0 ? 'There is no flag that you may read.' : 'No flag fits.'}>
          <p>
            {rows.length === 0
              ? 'A flag is created by a request, switched off in every environment. Policy decides who may do that, and who has to agree.'
              : `${rows.length} flags were looked at. Change the filters, or clear them.`}
          </p>
          <Link to={rows.length === 0 ? '/propose' : '/flags'}>
            {rows.length === 0 ? 'Create a flag' : 'Clear the filters'}
          </Link>
          {rows.length === 0 && <Link to="/setup">What else a new installation misses</Link>}
        </Empty>
      )}
      {fitting.length > 0 && <FlagTable rows={fitting} environments={shown} />}
      {hasNextPage && (
        <div className={styles.more}>
          <Button isPending={isFetching} onPress={() => fetchNextPage()}>
            Look at more flags
          </Button>
          <span>{rows.length} looked at</span>
        </div>
      )}
    </>
  );
}

/** One page of flags, with the states of each environment. */
async function readPage(
  shown: readonly string[],
  {
    cursors,
    namespace,
    signal,
  }: { cursors: Readonly<Record<string, string>>; namespace: string | undefined; signal: AbortSignal },
): Promise<{ rows: Row[]; next: Record<string, string> | undefined }> {
  const pages = await Promise.all(
    shown.map(async (environment) => {
      const cursor = cursors[environment];
      const query = {
        environment,
        limit: PAGE,
        ...(namespace === undefined ? {} : { namespace }),
        ...(cursor === undefined ? {} : { cursor }),
      };
      return { environment, page: await api('listFlags', { query, signal }) };
    }),
  );
  const rows = new Map<string, { flag: Listed; states: Record<string, FlagState | null> }>();
  for (const { environment, page } of pages) {
    for (const flag of page.items) {
      const row = rows.get(flag.key) ?? { flag, states: {} };
      row.states[environment] = flag.state;
      rows.set(flag.key, row);
    }
  }
  const next = pages.flatMap(({ environment, page }) =>
    page.next_cursor === null ? [] : [[environment, page.next_cursor] as const],
  );
  return {
    rows: [...rows.values()].sort((one, other) => (one.flag.key < other.flag.key ? -1 : 1)),
    next: next.length === 0 ? undefined : Object.fromEntries(next),
  };
}

function fits({ flag }: Row, { q, tier, kind, owner, expiring }: FlagsSearch): boolean {
  const has = (text: string, part: string) => text.toLowerCase().includes(part.toLowerCase());
  return (
    (q === undefined || has(flag.key, q) || has(flag.purpose, q)) &&
    (tier === undefined || flag.tier === tier) &&
    (kind === undefined || flag.kind === kind) &&
    (owner === undefined || has(flag.owner, owner)) &&
    (expiring === undefined ||
      (flag.expires_ms !== null &&
        flag.expires_ms < performance.timeOrigin + performance.now() + expiring * DAY_MS))
  );
}

function Filters({
  search,
  environments: all,
  onChange,
}: {
  search: FlagsSearch;
  environments: readonly string[];
  onChange: (part: FlagsSearch) => void;
}) {
  const orNone = (value: string) => (value === '' ? undefined : value);
  return (
    <search className={styles.filters}>
      <TextField
        label="Key or purpose"
        type="search"
        value={search.q ?? ''}
        onChange={(q) => onChange({ q: orNone(q) })}
      />
      <Choice
        label="Environment"
        value={search.environment ?? ''}
        options={[['', 'all'], ...all.map((each) => [each, each] as const)]}
        onChange={(value) => onChange({ environment: orNone(value) })}
      />
      <Choice
        label="Tier"
        value={search.tier ?? ''}
        options={['', 'informational', 'operational', 'sensitive', 'high-risk'].map((each) => [
          each,
          each === '' ? 'all' : each,
        ])}
        onChange={(value) => onChange({ tier: orNone(value) })}
      />
      <Choice
        label="Kind"
        value={search.kind ?? ''}
        options={['', 'release', 'entitlement', 'operational', 'experiment'].map((each) => [
          each,
          each === '' ? 'all' : each,
        ])}
        onChange={(value) => onChange({ kind: orNone(value) })}
      />
      <TextField
        label="Owner"
        type="search"
        value={search.owner ?? ''}
        onChange={(owner) => onChange({ owner: orNone(owner) })}
      />
      <Choice
        label="Expires"
        value={search.expiring === undefined ? '' : String(search.expiring)}
        options={[
          ['', 'whenever'],
          ['7', 'within 7 days'],
          ['30', 'within 30 days'],
          ['90', 'within 90 days'],
        ]}
        onChange={(value) => onChange({ expiring: value === '' ? undefined : Number(value) })}
      />
    </search>
  );
}

function FlagTable({ rows, environments: shown }: { rows: readonly Row[]; environments: readonly string[] }) {
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
              <span className={styles.kind}>{flag.kind}</span>
            </td>
            {shown.map((environment) => (
              <td key={environment} data-label={environment}>
                <FlagStateMark state={states[environment]} />
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}
