import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';
import type { BreakglassView } from '../../../emergency/break-glass.ts';
import type { RequestView } from '../../../requests/view.ts';
import { api } from '../../api/api.ts';
import { REFRESH_MS } from '../../api/queries.ts';
import { Button } from '../../parts/button.tsx';
import { Empty } from '../../parts/empty.tsx';
import { FaultView } from '../../parts/fault.tsx';
import { Moment } from '../../parts/moment.tsx';
import { sentencesOf } from '../../parts/request-words.ts';
import { Skeleton } from '../../parts/skeleton.tsx';
import { Untrusted } from '../../parts/untrusted.tsx';
import { ChangeForm } from './change-form.tsx';
import styles from './incident.module.css';
import type { Incident } from './incident-fields.tsx';
import { wayBack } from './way-back.ts';

/** The last changes of flags, newest first, each with the way back. */
export function Recent({ incident, session }: { incident: Incident; session: BreakglassView | null }) {
  const { data, error, isPending } = useQuery({
    queryKey: ['requests', 'recent'],
    queryFn: ({ signal }) =>
      api('listRequests', { query: { kind: 'flag.change', state: ['applied'], limit: 25 }, signal }),
    refetchInterval: REFRESH_MS,
  });
  if (isPending) return <Skeleton lines={4} />;
  if (error !== null) return <FaultView fault={error} />;
  if (data.items.length === 0) {
    return (
      <Empty title="Nothing was changed yet.">
        <p>Every change of a flag stands here, the newest first, with the way back to what was before.</p>
      </Empty>
    );
  }
  const newest = [...data.items].sort((one, other) => other.updated_ms - one.updated_ms);
  return (
    <>
      <Changes label="Recent changes" requests={newest} session={session} incident={incident} />
      <Link to="/requests" search={{ tab: 'closed' }}>
        All closed requests
      </Link>
    </>
  );
}

/** Changes that were applied. */
export function Changes({
  label,
  requests,
  session,
  incident,
}: {
  label: string;
  requests: readonly RequestView[];
  session: BreakglassView | null;
  incident: Incident;
}) {
  return (
    <ul className={styles.rows} aria-label={label}>
      {requests.map((request) => (
        <ChangeRow key={request.id} request={request} session={session} incident={incident} />
      ))}
    </ul>
  );
}

function ChangeRow({
  request,
  session,
  incident,
}: {
  request: RequestView;
  session: BreakglassView | null;
  incident: Incident;
}) {
  const [isOpen, setOpen] = useState(false);
  const { changes, lost } = wayBack(request);
  const { id, environment, proposer, updated_ms } = request;
  return (
    <li className={styles.row}>
      <div>
        <p>
          <strong>
            <Moment ms={updated_ms} />
          </strong>
          {', '}
          <Untrusted text={proposer.person ?? proposer.id} />
        </p>
        {sentencesOf(request).map((sentence) => (
          <p key={sentence}>
            <Untrusted text={sentence} />
          </p>
        ))}
        <p className={styles.muted}>
          <Untrusted text={request.reason} />{' '}
          <Link to="/requests/$id" params={{ id }} aria-label={`Open request ${id}`}>
            Open
          </Link>
        </p>
        {lost !== null && <p className={styles.muted}>{lost}</p>}
      </div>
      {isOpen && environment !== null ? (
        <ChangeForm
          name={`back ${id}`}
          incident={incident}
          session={session}
          environment={environment}
          changes={changes}
          button={`${session === null ? 'Propose to return' : 'Return now'} to ${changes
            .map(({ flag, version }) => `${flag}@${version}`)
            .join(', ')}`}
          onCancel={() => setOpen(false)}
        />
      ) : (
        changes.length > 0 && (
          <Button label={`Return to before request ${id}…`} onPress={() => setOpen(true)}>
            Return to before…
          </Button>
        )
      )}
    </li>
  );
}
