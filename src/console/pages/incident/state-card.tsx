import { Link } from '@tanstack/react-router';
import type { BreakglassView } from '../../../emergency/break-glass.ts';
import type { FreezeView } from '../../../emergency/freeze.ts';
import { usePerson } from '../../app/session.tsx';
import { buttonClass } from '../../parts/button.tsx';
import { scopeInWords } from '../../parts/freeze-words.ts';
import { Moment } from '../../parts/moment.tsx';
import { Untrusted } from '../../parts/untrusted.tsx';
import { Countdown } from './countdown.tsx';
import styles from './incident.module.css';
import { LiftForm } from './lift-form.tsx';

/** What is in force now, and the one thing that is most likely wanted next. */
export function StateCard({
  freezes,
  session,
  lift,
}: {
  freezes: readonly FreezeView[];
  /** The person's own open break-glass session. */
  session: BreakglassView | null;
  /** What is about to be lifted. */
  lift: string | undefined;
}) {
  const person = usePerson();
  const [first] = freezes;
  const isFrozen = first !== undefined;
  const title = !isFrozen
    ? 'Nothing is frozen'
    : freezes.length === 1
      ? `Frozen: ${scopeInWords(first)}`
      : `${freezes.length} freezes are in effect`;
  return (
    <section className={isFrozen ? styles.frozen : styles.state} aria-labelledby="state">
      <h2 id="state">
        <span aria-hidden="true">{isFrozen ? '❄' : '✓'}</span> {title}
      </h2>
      {!isFrozen && <p>Changes go their way, as policy decides.</p>}
      {isFrozen && (
        <ul className={styles.freezes}>
          {freezes.map((freeze) => (
            <li key={freeze.id}>
              <p>
                <strong>{scopeInWords(freeze)}</strong>, since <Moment ms={freeze.engaged_ms} />, by{' '}
                {freeze.engaged_by.person !== null && freeze.engaged_by.person === person ? (
                  'you'
                ) : (
                  <Untrusted text={freeze.engaged_by.person ?? freeze.engaged_by.id} />
                )}
                , for <Untrusted text={freeze.incident} />: <Untrusted text={freeze.reason} />
              </p>
              {lift === freeze.id ? (
                <LiftForm
                  content={{ kind: 'freeze.lift', freeze: freeze.id }}
                  id={freeze.id}
                  incident={freeze.incident}
                  what={`the freeze of ${scopeInWords(freeze)}`}
                />
              ) : (
                <Link
                  to="/incident"
                  search={(now) => ({ ...now, lift: freeze.id })}
                  className={buttonClass()}
                  resetScroll={false}
                >
                  Lift this freeze…
                </Link>
              )}
            </li>
          ))}
        </ul>
      )}
      {session !== null && (
        <p className={styles.session}>
          <strong>Your break-glass session is open:</strong> <Countdown untilMs={session.expires_ms} />, for{' '}
          <Untrusted text={session.incident} />.{' '}
          <Link to="/incident" search={(now) => ({ ...now, task: 'break-glass' })} resetScroll={false}>
            See it, or close it
          </Link>
        </p>
      )}
      <Next isFrozen={isFrozen} hasSession={session !== null} />
    </section>
  );
}

/** The next step, by the state: stop the writes, then make it safer, then undo. */
function Next({ isFrozen, hasSession }: { isFrozen: boolean; hasSession: boolean }) {
  const task = isFrozen || hasSession ? 'off' : 'freeze';
  return (
    <div className={task === 'freeze' ? styles.stop : styles.large}>
      <Link
        to="/incident"
        search={(now) => ({ ...now, task })}
        hash="task"
        className={buttonClass(task === 'freeze' ? 'danger' : 'primary')}
      >
        {task === 'freeze' ? 'Freeze writes…' : hasSession ? 'Switch a flag off now…' : 'Switch a flag off…'}
      </Link>
    </div>
  );
}
