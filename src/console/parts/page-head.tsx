import { type ReactNode, useEffect } from 'react';
import styles from './page-head.module.css';
import { safeText } from './unsafe-text.ts';

/** The title of a page, in the page and in the tab, with what belongs beside it. */
export function PageHead({ title, tab, children }: { title: ReactNode; tab?: string; children?: ReactNode }) {
  const inTab = safeText(tab ?? (typeof title === 'string' ? title : ''));
  useEffect(() => {
    document.title = inTab === '' ? 'Countersign' : `${inTab} · Countersign`;
  }, [inTab]);
  return (
    <div className={styles.head}>
      <h1>{title}</h1>
      {children}
    </div>
  );
}
