import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { lazy, Suspense } from 'react';
import type { DataFolders } from '../../../policy/data-schema.ts';
import { api } from '../../api/api.ts';
import { ButtonLink } from '../../parts/button.tsx';
import { Digest } from '../../parts/digest.tsx';
import { FaultView } from '../../parts/fault.tsx';
import { Choice } from '../../parts/fields.tsx';
import { PageHead } from '../../parts/page-head.tsx';
import { Skeleton } from '../../parts/skeleton.tsx';
import { Bindings } from './bindings.tsx';
import { Compare } from './compare.tsx';
import { History } from './history.tsx';
import styles from './policy.module.css';
import { Rules } from './rules.tsx';
import { type PolicySearch, TABS } from './search.ts';
import { Windows } from './windows.tsx';

const Explain = lazy(() => import('./explain.tsx').then(({ Explain }) => ({ default: Explain })));

const LABELS: Readonly<Record<(typeof TABS)[number], string>> = {
  rules: 'Rules',
  windows: 'Change windows',
  access: 'Roles and trust',
  history: 'History',
  compare: 'Compare',
  explain: 'Explain and what if',
};

/** The policy that decides: what it demands, who has which role, how it came here, and what it would answer. */
export function PolicyPage() {
  const search = useSearch({ from: '/policy' });
  const { tab = 'rules' } = search;
  return (
    <>
      <PageHead title="Policy" tab={`${LABELS[tab]} · Policy`} />
      <nav aria-label="Parts of the policy" className={styles.tabs}>
        {TABS.map((each) => (
          <Link
            key={each}
            to="/policy"
            search={{ ...(search.stage === undefined ? {} : { stage: search.stage }), tab: each }}
            aria-current={each === tab ? 'page' : undefined}
          >
            {LABELS[each]}
          </Link>
        ))}
      </nav>
      {(tab === 'rules' || tab === 'windows' || tab === 'access') && <Active search={search} tab={tab} />}
      {tab === 'history' && <History />}
      {tab === 'compare' && <Compare search={search} />}
      {tab === 'explain' && (
        <Suspense fallback={<Skeleton />}>
          <Explain key={`${search.decision} ${search.request}`} search={search} />
        </Suspense>
      )}
    </>
  );
}

/** The parts of the data of the policy that is active in a stage. */
function Active({ search, tab }: { search: PolicySearch; tab: 'rules' | 'windows' | 'access' }) {
  const navigate = useNavigate();
  const { stage } = search;
  const { data, error, isPending } = useQuery({
    queryKey: ['policy', 'data', stage ?? null],
    queryFn: ({ signal }) => api('getPolicyData', { query: stage === undefined ? {} : { stage }, signal }),
    retry: false,
  });
  if (isPending) return <Skeleton lines={6} />;
  if (data === undefined) return <FaultView fault={error} />;
  const config = data.data.config as DataFolders;
  const stages = (config.stages ?? []).map(({ name }) => name);
  return (
    <div className={styles.parts}>
      <div className={styles.which}>
        <p>
          Active{stages.length === 0 ? ', for every environment' : ''}:{' '}
          <Digest digest={data.policy_hash} of="policy hash" />
        </p>
        {stages.length > 0 && (
          <Choice
            label="Stage"
            value={stage ?? stages.at(-1) ?? ''}
            options={(config.stages ?? []).map(({ name, environments }) => [
              name,
              `${name}: ${environments.join(', ')}`,
            ])}
            onChange={(next) => {
              navigate({ to: '/policy', search: { ...search, stage: next } }).catch(() => undefined);
            }}
          />
        )}
        <ButtonLink
          href={`/v1/policy/bundle${stage === undefined ? '' : `?stage=${encodeURIComponent(stage)}`}`}
        >
          Download the bundle
        </ButtonLink>
      </div>
      {tab === 'rules' && <Rules config={config} />}
      {tab === 'windows' && <Windows config={config} />}
      {tab === 'access' && <Bindings config={config} />}
    </div>
  );
}
