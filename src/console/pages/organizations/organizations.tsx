import { useInfiniteQuery } from '@tanstack/react-query';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { type FormEvent, useState } from 'react';
import { api } from '../../api/api.ts';
import { Button } from '../../parts/button.tsx';
import { Empty } from '../../parts/empty.tsx';
import { FaultView } from '../../parts/fault.tsx';
import { TextField } from '../../parts/fields.tsx';
import { PageHead } from '../../parts/page-head.tsx';
import { useListKeys } from '../../parts/request-list.tsx';
import { Skeleton } from '../../parts/skeleton.tsx';
import { Untrusted } from '../../parts/untrusted.tsx';
import { EnvironmentChoice, useEnvironment } from './environment-choice.tsx';
import styles from './organizations.module.css';

/** Finds a customer. One that no flag names has a page as well: it sees what everybody sees. */
export function OrganizationsPage() {
  const search = useSearch({ from: '/organizations' });
  const navigate = useNavigate();
  useListKeys();
  const environment = useEnvironment(search.environment);
  const { q = '' } = search;
  const [name, setName] = useState(q);
  const go = (next: typeof search) => {
    navigate({ to: '/organizations', search: next }).catch(() => undefined);
  };
  const find = (event: FormEvent) => {
    event.preventDefault();
    go({ ...search, q: name.trim() });
  };
  return (
    <div className={styles.page}>
      <PageHead title="Organizations" />
      <search aria-label="Organizations">
        <form className={styles.form} onSubmit={find}>
          <TextField label="Name" type="search" value={name} onChange={setName} />
          {environment !== undefined && (
            <EnvironmentChoice
              value={environment}
              onChange={(next) => go({ ...search, environment: next })}
            />
          )}
          <Button type="submit" kind="primary">
            Find
          </Button>
        </form>
      </search>
      {environment === undefined ? <Skeleton /> : <Found environment={environment} q={q} />}
    </div>
  );
}

function Found({ environment, q }: { environment: string; q: string }) {
  const { data, error, isPending, hasNextPage, fetchNextPage, isFetchingNextPage } = useInfiniteQuery({
    queryKey: ['organizations', environment, q],
    queryFn: ({ signal, pageParam }) =>
      api('listOrganizations', {
        query: { environment, q, limit: 100, ...(pageParam === '' ? {} : { cursor: pageParam }) },
        signal,
      }),
    initialPageParam: '',
    getNextPageParam: ({ next_cursor }) => next_cursor,
    retry: false,
  });
  if (isPending) return <Skeleton />;
  if (data === undefined) return <FaultView fault={error} />;
  const names = data.pages.flatMap(({ items }) => items.map(({ organization }) => organization));
  const isNew = q !== '' && !names.includes(q);
  return (
    <>
      {names.length > 0 && (
        <ul className={styles.names} aria-label="Organizations">
          {names.map((name) => (
            <li key={name}>
              <Link
                to="/organizations/$name"
                params={{ name }}
                search={{ environment }}
                className={styles.name}
                data-list-item
              >
                <Untrusted text={name} />
              </Link>
            </li>
          ))}
        </ul>
      )}
      {names.length === 0 && (
        <Empty
          title={
            q === ''
              ? `No flag in ${environment} names an organization.`
              : 'No flag names such an organization.'
          }
        >
          <p>
            An organization stands here once the audience or a rule of a flag names it. Every other one sees
            what everybody sees.
          </p>
        </Empty>
      )}
      {isNew && (
        <p>
          <Link to="/organizations/$name" params={{ name: q }} search={{ environment }}>
            Show what <Untrusted text={q} /> sees, exactly by this name
          </Link>
        </p>
      )}
      {hasNextPage && (
        <Button isPending={isFetchingNextPage} onPress={() => fetchNextPage()}>
          More
        </Button>
      )}
    </>
  );
}
