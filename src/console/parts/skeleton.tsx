import { Hidden } from './hidden.tsx';
import styles from './skeleton.module.css';

/** Where something will be, while it is read. */
export function Skeleton({ lines = 3 }: { lines?: number }) {
  return (
    <div className={styles.lines} data-loading>
      <Hidden>Loading</Hidden>
      {Array.from({ length: lines }, (_, line) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the lines are all the same
        <div key={line} className={styles.line} aria-hidden="true" />
      ))}
    </div>
  );
}

/** The same for a whole page. */
export function SkeletonPage() {
  return (
    <div className={styles.page}>
      <Skeleton lines={6} />
    </div>
  );
}
