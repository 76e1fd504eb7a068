import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import type { AnswerOf } from '../../../routes.ts';
import { api } from '../../api/api.ts';
import { environments } from '../../api/queries.ts';
import { buttonClass } from '../../parts/button.tsx';
import { FactList } from '../../parts/fact-list.tsx';
import { FaultView } from '../../parts/fault.tsx';
import { Moment } from '../../parts/moment.tsx';
import { PageHead } from '../../parts/page-head.tsx';
import { Panel } from '../../parts/panel.tsx';
import { Skeleton } from '../../parts/skeleton.tsx';
import { Untrusted } from '../../parts/untrusted.tsx';
import { CodePanel } from './code.tsx';
import styles from './flag.module.css';
import { History } from './history.tsx';
import { ReadersPanel } from './readers.tsx';
import { StatesPanel } from './states.tsx';

const route = getRouteApi('/flags/$key');

type Flag = AnswerOf<'getFlag'>;

/** One flag: what it is, where it stands in each environment, and how it came to be so. */
export function FlagPage(): ReactNode {
  const { key } = route.useParams();
  const { environment } = route.useSearch();
  const flag = useQuery({
    queryKey: ['flags', 'one', key],
    queryFn: ({ signal }) => api('getFlag', { params: { key }, signal }),
  });
  const known = useQuery(environments);
  const shown = environment ?? known.data?.[0];
  return (
    <>
      <PageHead title={<code>{key}</code>} tab={key}>
        <Link
          to="/propose"
          search={{ flag: key, ...(shown === undefined ? {} : { environment: shown }) }}
          className={buttonClass('primary')}
        >
          Propose a change
        </Link>
      </PageHead>
      {flag.error !== null && <FaultView fault={flag.error} />}
      {flag.isPending && <Skeleton lines={5} />}
      {flag.data !== undefined && (
        <div className={styles.page}>
          <DefinitionPanel flag={flag.data} />
          <StatesPanel flag={flag.data} environments={known.data ?? []} />
          {shown !== undefined && (
            <HistoryPanel flag={flag.data} environment={shown} environments={known.data ?? []} />
          )}
          <div className={styles.side}>
            {shown !== undefined && <ReadersPanel key={shown} flag={flag.data.key} environment={shown} />}
            <CodePanel flag={flag.data} />
          </div>
        </div>
      )}
    </>
  );
}

function DefinitionPanel({ flag }: { flag: Flag }) {
  return (
    <Panel title="What it is">
      <FactList
        facts={[
          ['Purpose', <Untrusted key="purpose" text={flag.purpose} />],
          ['Tier and kind', `${flag.tier}, ${flag.kind}`],
          ['Owner', <Untrusted key="owner" text={flag.owner} />],
          ['Namespace', flag.namespace],
          ['Variants', <Variants key="variants" flag={flag} />],
          ['Retired when', <Untrusted key="retirement" text={flag.retirement} />],
          [
            'Expires',
            flag.expires_ms === null ? 'never' : <Moment key="expires" ms={flag.expires_ms} as="full" />,
          ],
          flag.contract === null ? null : ['Contract', <Untrusted key="contract" text={flag.contract} />],
          ['Created', <Moment key="created" ms={flag.created_ms} as="full" />],
          flag.retired ? ['State', 'Retired: applications get their own default'] : null,
        ]}
      />
    </Panel>
  );
}

function Variants({ flag }: { flag: Flag }) {
  return (
    <ul>
      {Object.entries(flag.variants).map(([name, value]) => (
        <li key={name}>
          <Untrusted text={name} />:{' '}
          <code>
            <Untrusted text={JSON.stringify(value)} />
          </code>
          {name === flag.safe_variant && ' (the safe one)'}
        </li>
      ))}
    </ul>
  );
}

function HistoryPanel({
  flag,
  environment,
  environments: all,
}: {
  flag: Flag;
  environment: string;
  environments: readonly string[];
}) {
  const navigate = useNavigate({ from: '/flags/$key' });
  const versions = useInfiniteQuery({
    queryKey: ['flags', 'versions', flag.key, environment],
    queryFn: ({ pageParam, signal }) =>
      api('listFlagVersions', {
        params: { key: flag.key },
        query: { environment, limit: 50, ...(pageParam === null ? {} : { cursor: pageParam }) },
        signal,
      }),
    initialPageParam: null as string | null,
    getNextPageParam: ({ next_cursor }) => next_cursor,
  });
  return (
    <Panel
      title={`History in ${environment}`}
      aside={
        <select
          aria-label="Environment of the history"
          value={environment}
          className={styles.select}
          onChange={({ target }) => {
            navigate({ search: { environment: target.value }, replace: true, resetScroll: false }).catch(
              () => undefined,
            );
          }}
        >
          {all.map((each) => (
            <option key={each}>{each}</option>
          ))}
        </select>
      }
    >
      {versions.error !== null && <FaultView fault={versions.error} />}
      {versions.isPending && <Skeleton lines={2} />}
      {versions.data !== undefined && (
        <History
          key={environment}
          flag={flag.key}
          environment={environment}
          versions={versions.data.pages.flatMap(({ items }) => items)}
          onMore={
            versions.hasNextPage && !versions.isFetching
              ? () => {
                  versions.fetchNextPage().catch(() => undefined);
                }
              : null
          }
        />
      )}
    </Panel>
  );
}
