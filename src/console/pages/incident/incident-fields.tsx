import { type ReactNode, useState } from 'react';
import { useSession } from '../../app/session.tsx';
import { Button } from '../../parts/button.tsx';
import { useDraft } from '../../parts/draft.ts';
import { TextField } from '../../parts/fields.tsx';
import { Panel } from '../../parts/panel.tsx';
import { Untrusted } from '../../parts/untrusted.tsx';
import styles from './incident.module.css';

/** The incident, which is typed once and goes with everything that is done for it. */
export interface Incident {
  incident: string;
  reason: string;
  /** Whether both are there. Says so beside the fields if not. */
  isGiven: () => boolean;
}

const FIRST_FIELD = 'incident-fields';

/** What the person has typed about the incident, also before a sign-in in between. */
export function useIncident(
  /** An incident that is in force, which may be the same one. */
  known: { incident: string; reason: string } | null,
): Incident & { fields: ReactNode } {
  const { principal } = useSession();
  const initial = { incident: '', reason: '' };
  const [typed, setTyped] = useDraft(principal.person ?? principal.id, 'incident', initial);
  const [isAsked, setAsked] = useState(false);
  const given = { incident: typed.incident.trim(), reason: typed.reason.trim() };
  const missing = (text: string, fault: string) => (isAsked && text === '' ? fault : undefined);
  return {
    ...given,
    isGiven: () => {
      setAsked(true);
      if (given.incident !== '' && given.reason !== '') return true;
      const names = given.incident === '' ? 'input' : 'textarea';
      document.getElementById(FIRST_FIELD)?.querySelector<HTMLElement>(names)?.focus();
      return false;
    },
    fields: (
      <div id={FIRST_FIELD}>
        <Panel title="The incident">
          <div className={styles.form}>
            {known !== null && typed.incident === '' && typed.reason === '' && (
              <Button onPress={() => setTyped({ incident: known.incident, reason: known.reason })}>
                It is <Untrusted text={known.incident} />
              </Button>
            )}
            <TextField
              label="Incident reference"
              value={typed.incident}
              isRequired
              hint="Such as INC-7."
              fault={missing(given.incident, 'Name the incident: every record of it carries the name.')}
              onChange={(incident) => setTyped({ ...typed, incident })}
            />
            <TextField
              label="What is wrong"
              value={typed.reason}
              isRequired
              lines={2}
              fault={missing(
                given.reason,
                'Say why, in a few words: others read it in the banner and the record.',
              )}
              hint="Typed once; it goes with everything that you do on this page."
              onChange={(reason) => setTyped({ ...typed, reason })}
            />
          </div>
        </Panel>
      </div>
    ),
  };
}
