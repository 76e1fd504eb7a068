import { useQuery } from '@tanstack/react-query';
import { getRouteApi, useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import type { BreakglassView } from '../../../emergency/break-glass.ts';
import type { Answer } from '../../api/api.ts';
import { environments } from '../../api/queries.ts';
import { Button } from '../../parts/button.tsx';
import { whoSees } from '../../parts/change-words.ts';
import { Empty } from '../../parts/empty.tsx';
import { FaultView } from '../../parts/fault.tsx';
import { Choice, TextField } from '../../parts/fields.tsx';
import { Skeleton } from '../../parts/skeleton.tsx';
import { Untrusted } from '../../parts/untrusted.tsx';
import { ChangeForm } from './change-form.tsx';
import { flagsIn } from './flags-in.ts';
import styles from './incident.module.css';
import type { Incident } from './incident-fields.tsx';

const route = getRouteApi('/incident');

/** How many flags are shown: whoever searches types on. */
const SHOWN = 30;

type Found = Answer<'listFlags'>['items'][number];

/** Finds a flag that is on, and switches it off: in an open break-glass session at once, otherwise by a request. */
export function SwitchOff({ incident, session }: { incident: Incident; session: BreakglassView | null }) {
  const search = route.useSearch();
  const navigate = useNavigate({ from: '/incident' });
  const known = useQuery(environments);
  const environment = search.environment ?? known.data?.[0] ?? '';
  const q = search.q?.trim() ?? '';
  const { data, error, isPending } = useQuery(flagsIn(environment, { q, enabled: true, limit: SHOWN }));
  const [chosen, setChosen] = useState<{ flag: Found; place: number } | null>(null);
  const shown = [...(data?.items ?? [])];
  // What was just switched off stays where it was pressed.
  if (chosen !== null && shown.every(({ key }) => key !== chosen.flag.key))
    shown.splice(chosen.place, 0, { ...chosen.flag, state: null });
  const go = (part: { environment?: string | undefined; q?: string | undefined }) => {
    setChosen(null);
    navigate({ search: (now) => ({ ...now, ...part }), replace: true, resetScroll: false }).catch(
      () => undefined,
    );
  };
  return (
    <div className={styles.form}>
      <p>
        {session === null
          ? 'A request: policy decides whether it is applied at once or waits for somebody. A break-glass session needs nobody else.'
          : 'In your break-glass session: applied at once.'}
      </p>
      <div className={styles.pair}>
        <Choice
          label="Environment"
          value={environment}
          options={(known.data ?? []).map((each) => [each, each] as const)}
          onChange={(value) => go({ environment: value })}
        />
        <TextField
          label="Find a flag"
          type="search"
          value={search.q ?? ''}
          placeholder="a part of its key, owner or purpose"
          onChange={(value) => go({ q: value === '' ? undefined : value })}
        />
      </div>
      {error !== null && <FaultView fault={error} />}
      {isPending && environment !== '' && <Skeleton />}
      {data !== undefined && shown.length === 0 && (
        <Empty title={q === '' ? 'No flag is on here.' : 'No flag that is on fits.'}>
          <p>Those that are off already are not listed. Look in another environment, or search for less.</p>
        </Empty>
      )}
      {shown.length > 0 && (
        <ul className={styles.rows} aria-label="Flags that are on">
          {shown.map((flag, place) => {
            const { key, namespace, tier, state } = flag;
            return (
              <li key={key} className={styles.row}>
                <div>
                  <p className={styles.key}>
                    <Untrusted text={key} />
                  </p>
                  <p className={styles.muted}>
                    <Untrusted text={namespace} /> · {tier} ·{' '}
                    {state?.enabled === true ? (
                      <>
                        on for <Untrusted text={whoSees(state)} />
                      </>
                    ) : (
                      'no longer listed as on'
                    )}
                  </p>
                </div>
                {chosen?.flag.key === key ? (
                  <ChangeForm
                    name={`off ${environment} ${key}`}
                    incident={incident}
                    session={session}
                    environment={environment}
                    changes={[{ action: 'disable', flag: key }]}
                    button={session === null ? `Propose switching off ${key}` : `Switch off ${key} now`}
                    isSo={state?.enabled !== true}
                    onCancel={() => setChosen(null)}
                  />
                ) : (
                  <Button label={`Switch off ${key}…`} onPress={() => setChosen({ flag, place })}>
                    Switch off…
                  </Button>
                )}
              </li>
            );
          })}
        </ul>
      )}
      {data?.next_cursor != null && (
        <p className={styles.muted}>There are more flags. Type more of the key.</p>
      )}
    </div>
  );
}
