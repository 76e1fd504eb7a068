import type { ReactNode } from 'react';
import { Button } from '../../parts/button.tsx';
import { FaultView } from '../../parts/fault.tsx';
import styles from './incident.module.css';
import type { Act } from './use-act.ts';

/** The button that sends an act. It stays where it is when the act is done, so that a second press meets nothing else. */
export function ActButton<Answer>({
  act,
  kind = 'primary',
  isDisabled = false,
  doneText,
  children,
}: {
  act: Act<Answer>;
  kind?: 'plain' | 'primary' | 'danger';
  /** Policy would refuse it, which stands above the button. */
  isDisabled?: boolean;
  doneText: string;
  children: ReactNode;
}) {
  const isDone = act.answer !== undefined;
  return (
    <div className={styles.act}>
      <div className={kind === 'danger' && !isDone && !isDisabled ? styles.stop : styles.large}>
        <Button kind={isDone ? 'plain' : kind} isDisabled={isDisabled && !isDone} onPress={act.press}>
          {isDone ? `✓ ${doneText}` : act.isPending ? 'Sending…' : children}
        </Button>
      </div>
      {act.note !== null && <p className={styles.muted}>{act.note}</p>}
      {act.fault !== null && <FaultView fault={act.fault} />}
    </div>
  );
}
