import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { getRouteApi, Link } from '@tanstack/react-router';
import { useState } from 'react';
import type { AccessView } from '../../../access/access.ts';
import { api } from '../../api/api.ts';
import { Button } from '../../parts/button.tsx';
import { counted } from '../../parts/change-words.ts';
import { Empty } from '../../parts/empty.tsx';
import { FaultView } from '../../parts/fault.tsx';
import { Moment } from '../../parts/moment.tsx';
import { Panel } from '../../parts/panel.tsx';
import { Skeleton } from '../../parts/skeleton.tsx';
import { Untrusted } from '../../parts/untrusted.tsx';
import styles from './access.module.css';
import { Filters } from './filters.tsx';

const route = getRouteApi('/access');

type Grant = AccessView['grants'][number];
type Binding = AccessView['bindings'][number];

/** How many are shown at first, and more with each press. */
const STEP = 100;

/** Who can do what, by which binding, and when they last did. */
export function GrantsPanel() {
  const search = route.useSearch();
  const { principal, capability, environment, namespace, unused, kind, by, view } = search;
  const { data, error, isPending } = useQuery({
    queryKey: ['access', principal, capability, environment, namespace, unused],
    queryFn: ({ signal }) =>
      api('getAccess', {
        query: {
          ...(principal === undefined ? {} : { principal }),
          ...(capability === undefined ? {} : { capability }),
          ...(environment === undefined ? {} : { environment }),
          ...(namespace === undefined ? {} : { namespace }),
          ...(unused === undefined ? {} : { unused: true, unused_days: unused }),
        },
        signal,
      }),
    placeholderData: keepPreviousData,
    // Each reading of it is a record.
    staleTime: Number.POSITIVE_INFINITY,
    refetchOnWindowFocus: false,
    retry: false,
  });
  const grants = (data?.grants ?? []).filter(
    (grant) =>
      (kind === undefined || grant.principal.kind === kind) && (by === undefined || grant.binding.key === by),
  );
  const bindings = (data?.bindings ?? []).filter(
    (binding) =>
      (by === undefined || binding.key === by) &&
      (capability === undefined || binding.capabilities.includes(capability)) &&
      fits(binding.environments, environment) &&
      fits(binding.namespaces, namespace),
  );
  return (
    <Panel
      title="Who can do what"
      aside={
        <nav className={styles.tabs} aria-label="How to look at it">
          {([undefined, 'bindings'] as const).map((each) => (
            <Link
              key={each ?? 'people'}
              to="/access"
              search={{ ...search, view: each }}
              aria-current={each === view ? 'page' : undefined}
              resetScroll={false}
            >
              {each === undefined ? 'By person and workload' : 'By binding'}
            </Link>
          ))}
        </nav>
      }
    >
      <Filters search={search} />
      {error !== null && <FaultView fault={error} />}
      {isPending && <Skeleton lines={5} />}
      {data !== undefined && error === null && (
        <>
          <p className={styles.muted}>
            Of the active policy, as of <Moment ms={data.at_ms} as="full" />. Unused: not once in{' '}
            {counted(data.unused_days, 'day')}, of those since <Moment ms={data.known_since_ms} as="full" />.
            Whoever never signed in is not known, and not here. This reading is on record.
          </p>
          {view === 'bindings' ? <BindingList bindings={bindings} /> : <GrantList grants={grants} />}
        </>
      )}
    </Panel>
  );
}

function fits(names: readonly string[], name: string | undefined): boolean {
  return name === undefined || names.includes('*') || names.includes(name);
}

function NothingFits() {
  return (
    <Empty title="Nothing fits.">
      <p>
        No binding of the active policy gives this. Bindings are rows of the policy's data, and change by a
        request that others approve.
      </p>
      <Link to="/access" search={{}}>
        Show everything
      </Link>
    </Empty>
  );
}

function GrantList({ grants }: { grants: readonly Grant[] }) {
  const [most, setMost] = useState(STEP);
  const byPrincipal = [...Map.groupBy(grants, ({ principal }) => principal.id).values()];
  if (byPrincipal.length === 0) return <NothingFits />;
  return (
    <>
      <p role="status">
        {counted(byPrincipal.length, 'principal')}, {counted(grants.length, 'grant')}
      </p>
      <ul className={styles.rows} aria-label="Who can do what">
        {byPrincipal.slice(0, most).map((own) => (
          <PrincipalRow key={own[0]?.principal.id} grants={own} />
        ))}
      </ul>
      {byPrincipal.length > most && (
        <Button onPress={() => setMost(most + STEP)}>Show more of {byPrincipal.length}</Button>
      )}
    </>
  );
}

function PrincipalRow({ grants }: { grants: readonly Grant[] }) {
  const [first] = grants;
  if (first === undefined) return null;
  const { id, kind, person, blocked } = first.principal;
  return (
    <li>
      <p className={styles.who}>
        <strong>
          <Untrusted text={person ?? id} />
        </strong>{' '}
        <span className={styles.kind}>{kind}</span>
        {blocked && <span className={styles.blocked}>✕ disabled or revoked: may do nothing now</span>}
      </p>
      {person !== null && (
        <p className={styles.muted}>
          <Untrusted text={id} />
        </p>
      )}
      <ul className={styles.grants}>
        {grants.map(({ capability, environment, namespace, binding, last_used_ms, unused }) => (
          <li key={`${capability} ${environment} ${namespace} ${nameOf(binding)}`}>
            <strong>{capability}</strong>
            <span>
              <Untrusted text={namespace === '*' ? 'every namespace' : namespace} /> in{' '}
              <Untrusted text={environment === '*' ? 'every environment' : environment} />
            </span>
            <span className={styles.muted}>
              by {binding.by.replace('_', ' ')} <Untrusted text={binding.key} />
            </span>
            <LastUse last={last_used_ms} unused={unused} />
          </li>
        ))}
      </ul>
    </li>
  );
}

function BindingList({ bindings }: { bindings: readonly Binding[] }) {
  if (bindings.length === 0) return <NothingFits />;
  return (
    <>
      <p role="status">{counted(bindings.length, 'binding')}</p>
      <ul className={styles.rows} aria-label="Bindings">
        {bindings.map((binding) => (
          <li key={nameOf(binding)}>
            <p className={styles.who}>
              <Link to="/access" search={{ by: binding.key }}>
                {binding.by.replace('_', ' ')} <Untrusted text={binding.key} />
              </Link>{' '}
              <span className={styles.kind}>{counted(binding.holders, 'known holder')}</span>
            </p>
            {binding.issuer !== null && (
              <p className={styles.muted}>
                of <Untrusted text={binding.issuer} />
              </p>
            )}
            <ul className={styles.grants}>
              <li>
                <strong>
                  {binding.capabilities.length === 0 ? 'nothing' : binding.capabilities.join(', ')}
                </strong>
                <span>
                  <Untrusted text={namesOf(binding.namespaces, 'namespace')} /> in{' '}
                  <Untrusted text={namesOf(binding.environments, 'environment')} />
                </span>
                <span />
                <LastUse last={binding.last_used_ms} unused={binding.unused} />
              </li>
            </ul>
          </li>
        ))}
      </ul>
    </>
  );
}

function LastUse({ last, unused }: { last: number | null; unused: boolean }) {
  return (
    <span className={unused ? styles.unused : styles.muted}>
      {unused && '○ unused'}
      {unused && last !== null && ', '}
      {last !== null && (
        <>
          last used <Moment ms={last} />
        </>
      )}
      {!unused && last === null && 'not used yet'}
    </span>
  );
}

function namesOf(names: readonly string[], noun: string): string {
  return names.includes('*') ? `every ${noun}` : names.join(', ');
}

function nameOf({ by, issuer, key, index, stage }: Grant['binding']): string {
  return JSON.stringify([by, issuer, key, index, stage ?? null]);
}
