import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import type { SessionView } from '../../../sessions/routes.ts';
import { api } from '../../api/api.ts';
import { announce } from '../../parts/announce.tsx';
import { Button } from '../../parts/button.tsx';
import { FaultView } from '../../parts/fault.tsx';
import { Moment } from '../../parts/moment.tsx';
import { Panel } from '../../parts/panel.tsx';
import { Skeleton } from '../../parts/skeleton.tsx';
import { Untrusted } from '../../parts/untrusted.tsx';
import styles from './access.module.css';

/** The person's own browser sessions, each with the button that ends it. */
export function SessionsPanel() {
  const { data, error, isPending } = useQuery({
    queryKey: ['sessions'],
    queryFn: ({ signal }) => api('listSessions', { signal }),
  });
  return (
    <Panel title="Your sessions">
      {isPending && <Skeleton />}
      {error !== null && <FaultView fault={error} />}
      {data !== undefined && (
        <ul className={styles.rows} aria-label="Your sessions">
          {data.items.map((session) => (
            <SessionRow key={session.id} session={session} />
          ))}
        </ul>
      )}
      <p className={styles.muted}>
        One that you do not know: end it, and tell whoever can revoke. To end the sessions of others, revoke
        them on the page of incidents.
      </p>
    </Panel>
  );
}

function SessionRow({ session }: { session: SessionView }) {
  const { id, current, opened_ms, seen_ms, expires_ms, user_agent, issuer } = session;
  const queries = useQueryClient();
  const end = useMutation({
    mutationFn: () => api('endSession', { params: { id } }),
    onSuccess: async () => {
      announce('The session is ended.');
      await queries.invalidateQueries({ queryKey: [current ? 'whoami' : 'sessions'] });
    },
  });
  return (
    <li className={styles.session}>
      <div>
        <p>
          <strong>{current ? 'This one' : 'Another one'}</strong>, opened <Moment ms={opened_ms} />, last seen{' '}
          <Moment ms={seen_ms} />
        </p>
        <p className={styles.muted}>
          <Untrusted text={user_agent === '' ? 'a browser without a name' : user_agent} />
          <br />
          <Untrusted text={issuer} />, until <Moment ms={expires_ms} as="full" />
        </p>
      </div>
      <Button kind="danger" isPending={end.isPending} onPress={() => end.mutate()}>
        {current ? 'End it, and sign out' : 'End it'}
      </Button>
      {end.error !== null && <FaultView fault={end.error} />}
    </li>
  );
}
