import { useQuery } from '@tanstack/react-query';
import { getRouteApi, Link } from '@tanstack/react-router';
import { activeFreezes } from '../../api/queries.ts';
import { usePerson } from '../../app/session.tsx';
import { browserMs } from '../../parts/browser-clock.ts';
import { FaultView } from '../../parts/fault.tsx';
import { PageHead } from '../../parts/page-head.tsx';
import { Panel } from '../../parts/panel.tsx';
import { Skeleton } from '../../parts/skeleton.tsx';
import { BreakGlass } from './break-glass.tsx';
import { FreezeForm } from './freeze-form.tsx';
import styles from './incident.module.css';
import { useIncident } from './incident-fields.tsx';
import { Recent } from './recent.tsx';
import { Revocations } from './revocations.tsx';
import { TASKS, type Task } from './search.ts';
import { openSessionOf, sessions } from './sessions.ts';
import { StateCard } from './state-card.tsx';
import { SwitchOff } from './switch-off.tsx';

const route = getRouteApi('/incident');

const TASK_WORDS: Readonly<Record<Task, string>> = {
  freeze: 'Freeze',
  off: 'Switch off',
  changes: 'Recent changes',
  'break-glass': 'Break-glass',
  revoke: 'Revoke',
};

/** Everything for an incident in one column: what is in force, and one thing at a time to do about it. */
export function IncidentPage() {
  const { task = 'freeze', lift } = route.useSearch();
  const person = usePerson();
  const freezes = useQuery(activeFreezes);
  const known = useQuery(sessions);
  const session = openSessionOf(known.data?.items ?? [], person, browserMs());
  const items = freezes.data?.items ?? [];
  const incident = useIncident(session ?? items[0] ?? null);
  return (
    <div className={styles.page}>
      <PageHead title="Incident" tab={items.length > 0 ? 'Frozen · Incident' : 'Incident'} />
      {freezes.isPending ? (
        <Skeleton lines={2} />
      ) : freezes.error !== null ? (
        <FaultView fault={freezes.error} />
      ) : (
        <StateCard freezes={items} session={session} lift={lift} />
      )}
      {incident.fields}
      <div id="task" className={styles.task}>
        <nav className={styles.tasks} aria-label="What to do">
          {TASKS.map((each) => (
            <Link
              key={each}
              to="/incident"
              search={(now) => ({ ...now, task: each, lift: undefined })}
              aria-current={each === task ? 'page' : undefined}
              resetScroll={false}
            >
              {TASK_WORDS[each]}
            </Link>
          ))}
        </nav>
        <Panel title={TASK_WORDS[task]}>
          {task === 'freeze' && <FreezeForm incident={incident} />}
          {task === 'off' && <SwitchOff incident={incident} session={session} />}
          {task === 'changes' && <Recent incident={incident} session={session} />}
          {task === 'break-glass' && <BreakGlass incident={incident} session={session} />}
          {task === 'revoke' && <Revocations incident={incident} />}
        </Panel>
      </div>
    </div>
  );
}
