import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import type { BreakglassView } from '../../../emergency/break-glass.ts';
import { api } from '../../api/api.ts';
import { usePerson } from '../../app/session.tsx';
import { buttonClass } from '../../parts/button.tsx';
import { FactList } from '../../parts/fact-list.tsx';
import { Moment } from '../../parts/moment.tsx';
import { Untrusted } from '../../parts/untrusted.tsx';
import { ActButton } from './act-button.tsx';
import { Countdown } from './countdown.tsx';
import { Forecast, useForecast } from './forecast.tsx';
import styles from './incident.module.css';
import type { Incident } from './incident-fields.tsx';
import { SessionChanges } from './session-changes.tsx';
import { sessions } from './sessions.ts';
import { useAct } from './use-act.ts';

/** Opens a break-glass session, and shows the one that is open. */
export function BreakGlass({ incident, session }: { incident: Incident; session: BreakglassView | null }) {
  const { data } = useQuery(sessions);
  const person = usePerson();
  const earlier = data?.items.filter(({ id }) => id !== session?.id).slice(0, 5) ?? [];
  return (
    <div className={styles.form}>
      {session === null ? (
        <OpenForm incident={incident} />
      ) : (
        <OpenSession session={session} incident={incident} />
      )}
      {earlier.length > 0 && (
        <details>
          <summary>Earlier sessions</summary>
          <ul className={styles.rows}>
            {earlier.map((each) => (
              <li key={each.id}>
                <Untrusted text={each.person} />, <Moment ms={each.opened_ms} as="full" />, for{' '}
                <Untrusted text={each.incident} />: <Untrusted text={each.reason} />
                {each.person === person && <SessionChanges session={each} incident={incident} />}
              </li>
            ))}
          </ul>
        </details>
      )}
    </div>
  );
}

function OpenForm({ incident: { incident, reason, isGiven } }: { incident: Incident }) {
  const queries = useQueryClient();
  const forecast = useForecast({ operation: 'breakglass.open', environment: null, namespace: null });
  const body = { incident, reason };
  const act = useAct('break-glass', body, {
    send: (idempotencyKey) => api('openBreakGlass', { body, idempotencyKey }),
    onDone: () => {
      queries.invalidateQueries({ queryKey: ['break-glass'] }).catch(() => undefined);
      return 'Your break-glass session is open.';
    },
  });
  return (
    <form
      className={styles.form}
      noValidate
      aria-label="Break-glass"
      onSubmit={(event) => event.preventDefault()}
    >
      <p>
        For minutes, you can make flags safer without anybody else: switch off, narrow, or return to an
        earlier state that is as safe. You cannot switch on or widen. Every step is recorded under the
        incident, and sessions are counted: each person has a few a week.
      </p>
      <Forecast forecast={forecast} allowed="Policy lets you open a session now." />
      <ActButton
        act={{ ...act, press: () => (isGiven() ? act.press() : undefined) }}
        kind="danger"
        isDisabled={forecast.data !== undefined && forecast.data.effect !== 'allow'}
        doneText="Open"
      >
        Open a break-glass session
      </ActButton>
    </form>
  );
}

function OpenSession({ session, incident }: { session: BreakglassView; incident: Incident }) {
  const queries = useQueryClient();
  const reread = () => {
    queries.invalidateQueries({ queryKey: ['break-glass'] }).catch(() => undefined);
  };
  const act = useAct(`close ${session.id}`, session.id, {
    send: () => api('closeBreakGlass', { params: { id: session.id } }),
    onDone: () => {
      reread();
      return 'Your break-glass session is closed.';
    },
  });
  return (
    <div className={styles.form}>
      <p className={styles.session}>
        <strong>Open:</strong> <Countdown untilMs={session.expires_ms} onEnd={reread} />
      </p>
      <FactList
        facts={[
          ['Incident', <Untrusted key="incident" text={session.incident} />],
          ['Reason', <Untrusted key="reason" text={session.reason} />],
          ['Ends', <Moment key="ends" ms={session.expires_ms} as="full" />],
        ]}
      />
      <SessionChanges session={session} incident={incident} />
      <div className={styles.large}>
        <Link to="/incident" search={(now) => ({ ...now, task: 'off' })} className={buttonClass('primary')}>
          Switch a flag off in this session…
        </Link>
      </div>
      <ActButton act={act} kind="plain" doneText="Closed">
        Close the session
      </ActButton>
      <p className={styles.muted}>
        What was changed stays when the session ends. To put it back, propose it as every other change.
      </p>
    </div>
  );
}
