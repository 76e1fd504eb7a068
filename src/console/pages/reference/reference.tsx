import { useQuery } from '@tanstack/react-query';
import { useNavigate, useRouterState, useSearch } from '@tanstack/react-router';
import { useDeferredValue, useEffect, useRef, useState } from 'react';
import { faultOfAnswer } from '../../api/fault.ts';
import { counted } from '../../parts/change-words.ts';
import { Empty } from '../../parts/empty.tsx';
import { FaultView } from '../../parts/fault.tsx';
import { TextField } from '../../parts/fields.tsx';
import { PageHead } from '../../parts/page-head.tsx';
import { Skeleton } from '../../parts/skeleton.tsx';
import { type ApiDocument, type Call, callsByTag, isFound } from './document.ts';
import { OperationView } from './operation.tsx';
import styles from './reference.module.css';

/** The document that the broker serves. It does not change while the broker runs. */
async function readDocument(signal: AbortSignal): Promise<ApiDocument> {
  const response = await fetch('/openapi.json', { signal });
  if (!response.ok) throw await faultOfAnswer(response);
  return (await response.json()) as ApiDocument;
}

/** Every call of the API. The fragment of the address is the call that is open. */
export function ReferencePage() {
  const search = useSearch({ from: '/api' });
  const navigate = useNavigate();
  const { data, error, isPending } = useQuery({
    queryKey: ['openapi'],
    queryFn: ({ signal }) => readDocument(signal),
    staleTime: Number.POSITIVE_INFINITY,
  });
  const text = useDeferredValue(search.q ?? '');
  const tags = data === undefined ? [] : callsByTag(data);
  const found = tags
    .map((tag) => ({ ...tag, calls: tag.calls.filter((call) => isFound(call, text)) }))
    .filter(({ calls }) => calls.length > 0);
  const count = found.reduce((sum, { calls }) => sum + calls.length, 0);
  return (
    <div className={styles.page}>
      <PageHead title="API">
        <a href="/openapi.json">OpenAPI document</a>
      </PageHead>
      <TextField
        label="Search calls"
        type="search"
        value={search.q ?? ''}
        onChange={(q) => {
          navigate({ to: '/api', search: q === '' ? {} : { q }, replace: true }).catch(() => undefined);
        }}
        hint={
          data === undefined
            ? ''
            : `${counted(count, 'call')}: by path, name, parameter, operation of the policy, or problem code`
        }
      />
      {isPending && <Skeleton lines={8} />}
      {error !== null && <FaultView fault={error} />}
      {data !== undefined && count === 0 && (
        <Empty title="No call has all of that.">
          <p>Search for one word, such as a part of the path.</p>
        </Empty>
      )}
      {data !== undefined &&
        found.map(({ name, description, calls }) => (
          <section key={name} aria-labelledby={`tag-${name}`} className={styles.tag}>
            <h2 id={`tag-${name}`}>{name}</h2>
            <p className={styles.about}>{description}</p>
            {calls.map((call) => (
              <CallView key={call.operation.operationId} document={data} call={call} />
            ))}
          </section>
        ))}
    </div>
  );
}

function CallView({ document, call }: { document: ApiDocument; call: Call }) {
  const { operationId, summary } = call.operation;
  const isMeant = useRouterState({ select: ({ location }) => location.hash === operationId });
  const [isOpen, setOpen] = useState(isMeant);
  const element = useRef<HTMLDetailsElement>(null);
  useEffect(() => {
    if (!isMeant) return;
    setOpen(true);
    element.current?.scrollIntoView();
  }, [isMeant]);
  return (
    <details
      id={operationId}
      ref={element}
      className={styles.call}
      open={isOpen}
      onToggle={({ currentTarget }) => setOpen(currentTarget.open)}
    >
      <summary>
        <h3>
          <span className={styles.method}>{call.method}</span> <code>{call.path}</code>
        </h3>
        <span className={styles.about}>{summary}</span>
      </summary>
      {isOpen && <OperationView document={document} call={call} />}
    </details>
  );
}
