import { Fault } from '../api/fault.ts';
import { ButtonLink } from './button.tsx';
import styles from './fault.module.css';
import { signInAddress } from './sign-in-address.ts';
import { Untrusted } from './untrusted.tsx';

/** A refusal: what the broker says, what is missing and who can clear it, and a way on. */
export function FaultView({ fault }: { fault: unknown }) {
  if (fault === null || fault === undefined) return null;
  const shown =
    fault instanceof Fault ? fault : new Fault({ detail: `The console failed: ${String(fault)}` });
  const { message, gates, errors, instance, demand, status, code } = shown;
  return (
    <div className={styles.fault} role="alert">
      <p>
        <Untrusted text={message} />
      </p>
      {errors.length > 0 && (
        <ul>
          {errors.map(({ pointer, detail }) => (
            <li key={`${pointer} ${detail}`}>
              <code>
                <Untrusted text={pointer} />
              </code>{' '}
              <Untrusted text={detail} />
            </li>
          ))}
        </ul>
      )}
      {gates.length > 0 && (
        <ul>
          {gates.map((gate) => (
            <li key={`${gate.code} ${gate.detail}`}>
              {gate.detail !== message && (
                <>
                  <Untrusted text={gate.detail} />{' '}
                </>
              )}
              Who can clear it: <Untrusted text={gate.cleared_by} />.
            </li>
          ))}
        </ul>
      )}
      {demand !== null && (
        <ButtonLink href={signInAddress(demand)} kind="primary">
          Sign in again at level {demand.level}; what you typed is kept
        </ButtonLink>
      )}
      {status === 401 && (
        <ButtonLink href={signInAddress()} kind="primary">
          Sign in again; what you typed is kept
        </ButtonLink>
      )}
      <p className={styles.small}>
        {code}
        {instance === null ? '' : ` · if you ask for help, name ${instance}`}
      </p>
    </div>
  );
}
