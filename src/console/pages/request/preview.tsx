import { useMutation } from '@tanstack/react-query';
import { useState } from 'react';
import { api } from '../../api/api.ts';
import { Button } from '../../parts/button.tsx';
import { FaultView } from '../../parts/fault.tsx';
import { TextField } from '../../parts/fields.tsx';
import { Panel } from '../../parts/panel.tsx';
import { Untrusted } from '../../parts/untrusted.tsx';
import styles from './preview.module.css';

/** What one organization or user is served before and after the change. */
export function PreviewPanel({ id, digest }: { id: string; digest: string }) {
  const [organization, setOrganization] = useState('');
  const [user, setUser] = useState('');
  const preview = useMutation({
    mutationFn: () => {
      const context = {
        ...(organization === '' ? {} : { organization }),
        ...(user === '' ? {} : { targetingKey: user }),
      };
      return api('previewRequest', { params: { id }, body: { contexts: [context] } });
    },
  });
  return (
    <Panel title="Try it">
      <form
        className={styles.form}
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          if (!preview.isPending) preview.mutate();
        }}
      >
        <TextField label="Organization" placeholder="acme" value={organization} onChange={setOrganization} />
        <TextField label="User" value={user} onChange={setUser} />
        <Button type="submit" isPending={preview.isPending}>
          Compare
        </Button>
      </form>
      {preview.error !== null && <FaultView fault={preview.error} />}
      {preview.data !== undefined && preview.data.digest !== digest && (
        <p role="status">The content has changed since: this would be about other content than is shown.</p>
      )}
      {preview.data?.digest === digest && (
        <ul className={styles.list} aria-live="polite">
          {preview.data.results
            .flatMap(({ flags }) => flags)
            .map(({ flag, environment, before, after, changed }) => (
              <li key={`${flag} ${environment}`}>
                <strong>
                  <Untrusted text={flag} />
                </strong>{' '}
                in {environment}:{' '}
                {changed ? (
                  <>
                    {shown(before)} → {shown(after)}
                  </>
                ) : (
                  <>{shown(after)}, as before</>
                )}
              </li>
            ))}
        </ul>
      )}
    </Panel>
  );
}

function shown(served: { variant: string; value: unknown } | null) {
  if (served === null) return 'nothing';
  return <Untrusted text={`${served.variant} (${JSON.stringify(served.value)})`} />;
}
