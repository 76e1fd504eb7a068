import { PageHead } from '../../parts/page-head.tsx';
import styles from './access.module.css';
import { GrantsPanel } from './grants.tsx';
import { SessionsPanel } from './sessions.tsx';
import { YouPanel } from './you.tsx';

/** Who can do what, and the person's own sign-ins. */
export function AccessPage() {
  return (
    <div className={styles.page}>
      <PageHead title="Access" />
      <div className={styles.own}>
        <YouPanel />
        <SessionsPanel />
      </div>
      <GrantsPanel />
    </div>
  );
}
