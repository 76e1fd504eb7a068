import { useInfiniteQuery } from '@tanstack/react-query';
import { useState } from 'react';
import type { AnswerOf } from '../../../routes.ts';
import { api } from '../../api/api.ts';
import { Button } from '../../parts/button.tsx';
import { ColumnHeads } from '../../parts/column-heads.tsx';
import { FaultView } from '../../parts/fault.tsx';
import { Moment } from '../../parts/moment.tsx';
import { Panel } from '../../parts/panel.tsx';
import { Skeleton } from '../../parts/skeleton.tsx';
import { Untrusted } from '../../parts/untrusted.tsx';
import styles from './flag.module.css';

type Count = AnswerOf<'listEvaluations'>;

/** Who evaluates a flag in an environment. It is asked for with a button, because each look is recorded. */
export function ReadersPanel({ flag, environment }: { flag: string; environment: string }) {
  const [isAsked, setAsked] = useState(false);
  const { data, error, isLoading, hasNextPage, fetchNextPage, isFetchingNextPage } = useInfiniteQuery({
    queryKey: ['evaluations', flag, environment],
    queryFn: ({ pageParam, signal }) =>
      api('listEvaluations', {
        query: { flag, environment, limit: 200, ...(pageParam === null ? {} : { cursor: pageParam }) },
        signal,
      }),
    initialPageParam: null as string | null,
    getNextPageParam: ({ next_cursor }) => next_cursor,
    enabled: isAsked,
    // Nothing is read, and recorded, that nobody has asked for.
    staleTime: Number.POSITIVE_INFINITY,
    retry: false,
  });
  const rows = data?.pages.flatMap(({ items }) => items) ?? [];
  const oldest = rows.reduce((least, { first_ms }) => Math.min(least, first_ms), Number.POSITIVE_INFINITY);
  return (
    <Panel title={`Who reads it in ${environment}`}>
      {!isAsked && (
        <>
          <p className={styles.calm}>
            The broker counts who evaluates a flag. It takes the right to read decisions, and each look is
            recorded.
          </p>
          <div>
            <Button onPress={() => setAsked(true)}>Show who reads it</Button>
          </div>
        </>
      )}
      {error !== null && <FaultView fault={error} />}
      {isLoading && <Skeleton lines={2} />}
      {data !== undefined && rows.length === 0 && (
        <p>Nobody has evaluated it there, as far as counts are kept.</p>
      )}
      {rows.length > 0 && (
        <>
          <ReaderTable readers={readersOf(rows)} />
          <p className={styles.calm}>
            Since <Moment ms={oldest} as="full" />. Who reads definitions evaluates elsewhere, and is not
            counted here.
          </p>
        </>
      )}
      {hasNextPage && (
        <div>
          <Button isPending={isFetchingNextPage} onPress={() => fetchNextPage()}>
            Count further back
          </Button>
        </div>
      )}
    </Panel>
  );
}

interface Reader {
  id: string;
  name: string;
  variant: string;
  count: number;
  lastMs: number;
}

/** The counts of all intervals together, by reader and variant, the latest first. */
function readersOf(rows: readonly Count[]): Reader[] {
  const readers = new Map<string, Reader>();
  for (const { workload, pseudonym, variant, count, last_ms } of rows) {
    const id = JSON.stringify([pseudonym, variant]);
    const known = readers.get(id);
    readers.set(id, {
      id,
      name: workload ?? (pseudonym === null ? '(counted without a name)' : `(erased) ${pseudonym}`),
      variant: variant ?? '',
      count: count + (known?.count ?? 0),
      lastMs: Math.max(last_ms, known?.lastMs ?? 0),
    });
  }
  return [...readers.values()].sort((one, other) => other.lastMs - one.lastMs);
}

function ReaderTable({ readers }: { readers: readonly Reader[] }) {
  return (
    <table className={styles.table}>
      <ColumnHeads names={['Reader', 'Gets', 'Evaluations', 'Last']} />
      <tbody>
        {readers.map(({ id, name, variant, count, lastMs }) => (
          <tr key={id}>
            <th scope="row">
              <Untrusted text={name} />
            </th>
            <td data-label="Gets">
              <Untrusted text={variant} />
            </td>
            <td data-label="Evaluations">{count}</td>
            <td data-label="Last">
              <Moment ms={lastMs} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
