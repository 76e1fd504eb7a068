import { useEffect } from 'react';
import { ButtonLink } from '../parts/button.tsx';
import { signInAddress } from '../parts/sign-in-address.ts';
import { Mark } from './mark.tsx';
import styles from './sign-in.module.css';

/** The first page of whoever is not signed in. @param wasSignedIn whether a session has ended on this page */
export function SignInPage({ wasSignedIn }: { wasSignedIn: boolean }) {
  useEffect(() => {
    document.title = 'Sign in · Countersign';
  }, []);
  return (
    <main className={styles.page}>
      <div className={styles.card}>
        <p className={styles.name}>
          <Mark /> Countersign
        </p>
        <h1>{wasSignedIn ? 'Your session has ended' : 'Feature flags by request'}</h1>
        <p>
          {wasSignedIn
            ? 'What you typed is kept in this tab for you. Sign in again, and go on where you were.'
            : 'Policy decides who may change which flag, and asks a second person where it matters.'}
        </p>
        <ButtonLink href={signInAddress()} kind="primary">
          {wasSignedIn ? 'Sign in again' : 'Sign in'}
        </ButtonLink>
        <p className={styles.terminal}>
          From a terminal: <code>countersign login --broker {window.location.origin}</code>
        </p>
      </div>
    </main>
  );
}
