import { Fragment, type ReactNode } from 'react';
import styles from './facts.module.css';

/** Names and what they are, in two columns. Facts without a value are left out. */
export function FactList({
  facts,
}: {
  facts: readonly (readonly [name: string, value: ReactNode] | null)[];
}) {
  return (
    <dl className={styles.list}>
      {facts.map((fact) =>
        fact === null ? null : (
          <Fragment key={fact[0]}>
            <dt>{fact[0]}</dt>
            <dd>{fact[1]}</dd>
          </Fragment>
        ),
      )}
    </dl>
  );
}
