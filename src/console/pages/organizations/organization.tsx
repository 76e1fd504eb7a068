import { useInfiniteQuery } from '@tanstack/react-query';
import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { useEffect, useState } from 'react';
import type { OrganizationFlag } from '../../../organizations/view.ts';
import { api } from '../../api/api.ts';
import { Button } from '../../parts/button.tsx';
import { ColumnHeads } from '../../parts/column-heads.tsx';
import { Empty } from '../../parts/empty.tsx';
import { FaultView } from '../../parts/fault.tsx';
import { Choice } from '../../parts/fields.tsx';
import { Moment } from '../../parts/moment.tsx';
import { PageHead } from '../../parts/page-head.tsx';
import { Panel } from '../../parts/panel.tsx';
import { useListKeys } from '../../parts/request-list.tsx';
import { Skeleton } from '../../parts/skeleton.tsx';
import { TypedFilter } from '../../parts/typed-filter.tsx';
import { safeText } from '../../parts/unsafe-text.ts';
import { Untrusted } from '../../parts/untrusted.tsx';
import { EnvironmentChoice, useEnvironment } from './environment-choice.tsx';
import { changeForInWords, valueInWords, whyInWords } from './organization-words.ts';
import styles from './organizations.module.css';

const DAYS = [
  ['1', 'the last day'],
  ['7', 'the last 7 days'],
  ['14', 'the last 14 days'],
  ['90', 'the last 90 days'],
] as const;
const DAY_MS = 86_400_000;

interface Shown {
  name: string;
  environment: string;
}

/** One customer: every flag as it sees it, and why, its exceptions, and what has changed for it. */
export function OrganizationPage() {
  const { name } = useParams({ from: '/organizations/$name' });
  const search = useSearch({ from: '/organizations/$name' });
  const navigate = useNavigate();
  useListKeys();
  const environment = useEnvironment(search.environment);
  const go = (next: typeof search) => {
    navigate({ to: '/organizations/$name', params: { name }, search: next, replace: true }).catch(
      () => undefined,
    );
  };
  return (
    <div className={styles.page}>
      <PageHead title={<Untrusted text={name} />} tab={safeText(name)}>
        <Link to="/organizations">Another organization</Link>
      </PageHead>
      {environment === undefined ? (
        <Skeleton lines={6} />
      ) : (
        <>
          <div className={styles.form}>
            <EnvironmentChoice
              value={environment}
              onChange={(next) => go({ ...search, environment: next })}
            />
            <TypedFilter
              label="Only flags whose key has"
              value={search.q ?? ''}
              isPart
              onChange={(q) => go({ ...search, q })}
            />
          </div>
          <Flags name={name} environment={environment} text={search.q ?? ''} />
          <Changes
            name={name}
            environment={environment}
            days={search.days ?? 14}
            onDays={(days) => go({ ...search, days })}
          />
        </>
      )}
    </div>
  );
}

function Flags({ name, environment, text }: Shown & { text: string }) {
  const { data, error, isPending, hasNextPage, fetchNextPage, isFetchingNextPage } = useInfiniteQuery({
    queryKey: ['organizations', environment, name, 'flags', text],
    queryFn: ({ signal, pageParam }) =>
      api('listOrganizationFlags', {
        params: { organization: name },
        query: {
          environment,
          limit: 200,
          ...(text === '' ? {} : { q: text }),
          ...(pageParam === '' ? {} : { cursor: pageParam }),
        },
        signal,
      }),
    initialPageParam: '',
    getNextPageParam: ({ next_cursor }) => next_cursor,
    retry: false,
  });
  const shown = data?.pages.flatMap(({ items }) => items) ?? [];
  const named = shown.filter((flag) => flag.named);
  const others = shown.filter((flag) => !flag.named);
  return (
    <>
      {error !== null && <FaultView fault={error} />}
      {isPending && <Skeleton lines={6} />}
      {data !== undefined && shown.length === 0 && text === '' && (
        <Empty title={`You may read no flag in ${environment}, or there is none.`}>
          <p>Choose another environment, or propose the first flag.</p>
        </Empty>
      )}
      {named.length > 0 && <FlagTable title="Flags that name it" flags={named} />}
      {others.length > 0 && <FlagTable title={named.length === 0 ? 'Flags' : 'Other flags'} flags={others} />}
      {data !== undefined && shown.length === 0 && text !== '' && (
        <p>No flag that you may read has that in its key.</p>
      )}
      {hasNextPage && (
        <Button isPending={isFetchingNextPage} onPress={() => fetchNextPage()}>
          More flags
        </Button>
      )}
    </>
  );
}

function FlagTable({ title, flags }: { title: string; flags: readonly OrganizationFlag[] }) {
  return (
    <Panel title={`${title} (${flags.length})`}>
      <div className={styles.table}>
        <table>
          <ColumnHeads names={['Flag', 'Gets', 'Because', 'Tier']} />
          <tbody>
            {flags.map((flag) => (
              <tr key={flag.key}>
                <th scope="row">
                  <Link to="/flags/$key" params={{ key: flag.key }} data-list-item>
                    <Untrusted text={flag.key} />
                  </Link>
                </th>
                <td>
                  <strong>
                    <Untrusted text={flag.variant} />
                  </strong>{' '}
                  {valueInWords(flag.value) !== JSON.stringify(flag.variant) && (
                    <code>
                      <Untrusted text={valueInWords(flag.value)} />
                    </code>
                  )}
                </td>
                <td>
                  <Untrusted text={whyInWords(flag)} />
                  <Exceptions of={flag} />
                </td>
                <td>{flag.tier}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}

/** The single users of a flag. Flags do not say of which organization they are. */
function Exceptions({ of: { exceptions } }: { of: OrganizationFlag }) {
  if (exceptions.length === 0) return null;
  return (
    <details>
      <summary>
        {exceptions.length} single {exceptions.length === 1 ? 'user' : 'users'} by exception, of any
        organization
      </summary>
      <ul className={styles.lines}>
        {exceptions.map(({ user, reason, approved_by, until_ms }) => (
          <li key={user}>
            <Untrusted text={user} />, until <Moment ms={until_ms} as="full" />: <Untrusted text={reason} />
            {approved_by !== null && (
              <>
                {' '}
                (<Untrusted text={approved_by} />)
              </>
            )}
          </li>
        ))}
      </ul>
    </details>
  );
}

function Changes({
  name,
  environment,
  days,
  onDays,
}: Shown & { days: number; onDays: (days: number) => void }) {
  // The moment is taken once, so that reading again asks the same.
  const [nowMs, setNow] = useState(() => performance.timeOrigin + performance.now());
  // biome-ignore lint/correctness/useExhaustiveDependencies: another span is counted from now
  useEffect(() => setNow(performance.timeOrigin + performance.now()), [days]);
  const since = Math.floor(nowMs - days * DAY_MS);
  const { data, error, isPending, hasNextPage, fetchNextPage, isFetchingNextPage } = useInfiniteQuery({
    queryKey: ['organizations', environment, name, 'changes', since],
    queryFn: ({ signal, pageParam }) =>
      api('listOrganizationChanges', {
        params: { organization: name },
        query: { environment, since, limit: 50, ...(pageParam === '' ? {} : { cursor: pageParam }) },
        signal,
      }),
    initialPageParam: '',
    getNextPageParam: ({ next_cursor }) => next_cursor,
    retry: false,
  });
  const items = data?.pages.flatMap((page) => page.items) ?? [];
  const spans = DAYS.some(([each]) => each === String(days))
    ? DAYS
    : [...DAYS, [String(days), `the last ${days} days`] as const];
  return (
    <Panel
      title="What has changed for it"
      aside={
        <Choice label="In" value={String(days)} options={spans} onChange={(next) => onDays(Number(next))} />
      }
    >
      {error !== null && <FaultView fault={error} />}
      {isPending && <Skeleton />}
      {data !== undefined && items.length === 0 && !hasNextPage && <p>Nothing.</p>}
      <ul className={styles.lines} aria-label="Changes">
        {items.map((change) => (
          <li key={`${change.flag} ${change.version}`}>
            <Moment ms={change.at_ms} />:{' '}
            <Link to="/flags/$key" params={{ key: change.flag }}>
              <Untrusted text={change.flag} />
            </Link>{' '}
            <Untrusted text={changeForInWords(change)} /> (version {change.version},{' '}
            <Link to="/requests/$id" params={{ id: change.request_id }}>
              request
            </Link>
            )
          </li>
        ))}
      </ul>
      {hasNextPage && (
        <Button isPending={isFetchingNextPage} onPress={() => fetchNextPage()}>
          Older changes
        </Button>
      )}
    </Panel>
  );
}
