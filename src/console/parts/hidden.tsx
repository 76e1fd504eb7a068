import type { ReactNode } from 'react';
import styles from './announce.module.css';

/** Text for whoever listens to the page, where others see it from its form. */
export function Hidden({ children }: { children: ReactNode }) {
  return <span className={styles.hidden}>{children}</span>;
}
