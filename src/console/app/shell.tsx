import { useQuery } from '@tanstack/react-query';
import { Link, Outlet, useRouterState } from '@tanstack/react-router';
import { lazy, Suspense, useEffect, useRef, useState } from 'react';
import { waitingForMe } from '../api/queries.ts';
import { Announcer } from '../parts/announce.tsx';
import { Hidden } from '../parts/hidden.tsx';
import { SkeletonPage } from '../parts/skeleton.tsx';
import { FreezeBanner } from './freeze-banner.tsx';
import { useConsoleKeys } from './keys.ts';
import { useLiveEvents } from './live.ts';
import { Mark } from './mark.tsx';
import { PLACES } from './places.ts';
import { Session, useSession } from './session.tsx';
import styles from './shell.module.css';

const Palette = lazy(() => import('./palette.tsx').then(({ Palette }) => ({ default: Palette })));
const KeyList = lazy(() => import('./key-list.tsx').then(({ KeyList }) => ({ default: KeyList })));

/** What is around every page. */
export function Shell() {
  return (
    <Session>
      <Frame />
    </Session>
  );
}

function Frame() {
  const [open, setOpen] = useState<'palette' | 'keys' | null>(null);
  useConsoleKeys(setOpen);
  useLiveEvents();
  const main = useRef<HTMLElement>(null);
  const path = useRouterState({ select: ({ location }) => location.pathname });
  const isFirst = useRef(true);
  // Whoever listens to the page learns that it is another one.
  // biome-ignore lint/correctness/useExhaustiveDependencies: it runs for each path
  useEffect(() => {
    if (!isFirst.current) main.current?.focus({ preventScroll: true });
    isFirst.current = false;
  }, [path]);
  return (
    <>
      <a className={styles.skip} href="#main">
        Skip to the page
      </a>
      <header className={styles.header}>
        <Link to="/" className={styles.name} aria-label="Countersign: your inbox">
          <Mark /> <span>Countersign</span>
        </Link>
        <nav className={styles.nav} aria-label="Pages">
          {PLACES.map(({ to, label }) => (
            <Link
              key={to}
              to={to}
              activeOptions={{ exact: to === '/', includeSearch: false }}
              activeProps={{ 'aria-current': 'page' }}
            >
              {label}
              {to === '/' && <WaitingCount />}
            </Link>
          ))}
        </nav>
        <button type="button" className={styles.search} onClick={() => setOpen('palette')}>
          <span>Search</span> <kbd>Ctrl K</kbd>
        </button>
        <Who />
      </header>
      <FreezeBanner />
      <main id="main" ref={main} tabIndex={-1} className={styles.main}>
        <Suspense fallback={<SkeletonPage />}>
          <Outlet />
        </Suspense>
      </main>
      <footer className={styles.footer}>
        <button type="button" onClick={() => setOpen('keys')}>
          Help and keys <kbd>?</kbd>
        </button>
        <Link to="/api">API</Link>
        <Link to="/setup">Set up</Link>
      </footer>
      <Announcer />
      <Suspense fallback={null}>
        {open === 'palette' && <Palette onClose={() => setOpen(null)} />}
        {open === 'keys' && <KeyList onClose={() => setOpen(null)} />}
      </Suspense>
    </>
  );
}

/** How many requests wait for whoever is signed in. */
function WaitingCount() {
  const { data } = useQuery(waitingForMe);
  if (data === undefined || (data.items.length === 0 && data.next_cursor === null)) return null;
  const count = `${data.items.length}${data.next_cursor === null ? '' : '+'}`;
  return (
    <span className={styles.count}>
      {count}
      <Hidden> waiting for you</Hidden>
    </span>
  );
}

/** Who is signed in. The account page is the broker's own, because signing out leads to the identity provider. */
function Who() {
  const { principal } = useSession();
  const name = principal.person ?? principal.id;
  return (
    <a className={styles.who} href="/auth/account" title="Your account and sessions, and signing out">
      <bdi>{name}</bdi> <span className={styles.level}>level {principal.auth.level}</span>
    </a>
  );
}
