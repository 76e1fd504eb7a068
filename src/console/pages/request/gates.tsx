import { useMutation } from '@tanstack/react-query';
import type { RequestView } from '../../../requests/view.ts';
import { api } from '../../api/api.ts';
import { Button } from '../../parts/button.tsx';
import { listed } from '../../parts/change-words.ts';
import { FaultView } from '../../parts/fault.tsx';
import { Hidden } from '../../parts/hidden.tsx';
import { Moment } from '../../parts/moment.tsx';
import { Panel } from '../../parts/panel.tsx';
import { isOpen } from '../../parts/request-words.ts';
import { Untrusted } from '../../parts/untrusted.tsx';
import type { Act } from './acts.ts';
import styles from './gates.module.css';

type Gate = RequestView['gates'][number];

/** What a person at this page can do about a gate. */
const ACT_OF_GATE: Readonly<Record<string, Act>> = {
  approval_required: 'approve',
  ticket_required: 'edit',
  apply_required: 'apply',
  base_moved: 'rebase',
};

/** What is given and what is missing, each with who can give it, and the button if that may be whoever looks at it. */
export function GatesPanel({
  request,
  onAct,
  refusals,
}: {
  request: RequestView;
  onAct: (act: Act) => void;
  /** Why an act would be refused to whoever looks at it. */
  refusals: Readonly<Partial<Record<Act, string>>>;
}) {
  const given = request.approvals.filter(({ counts }) => counts);
  const explain = useMutation({
    mutationFn: () => api('explainPolicy', { body: { request: request.id } }),
  });
  const { gates } = request;
  return (
    <Panel
      title="What it needs"
      aside={
        isOpen(request) && gates.some(({ code }) => code === 'approval_required') ? (
          <Button kind="quiet" isPending={explain.isPending} onPress={() => explain.mutate()}>
            Who can approve?
          </Button>
        ) : null
      }
    >
      <ul className={styles.list}>
        {given.map((vote) => (
          <li key={`${vote.person} ${vote.digest}`} className={styles.given}>
            <Sign isGiven />
            <p>
              Approved by <Untrusted text={vote.person} />, <Moment ms={vote.at_ms} />
              {vote.comment !== null && (
                <>
                  : <Untrusted text={vote.comment} />
                </>
              )}
            </p>
          </li>
        ))}
        {gates.map((gate) => (
          <li key={`${gate.code} ${gate.detail}`}>
            <Sign isGiven={false} />
            <div className={styles.gate}>
              <p>
                <Untrusted text={gate.detail} />
                {gate.opens_ms != null && (
                  <>
                    {' '}
                    In your time: <Moment ms={gate.opens_ms} as="full" />.
                  </>
                )}
              </p>
              <p className={styles.who}>
                Cleared by: <Untrusted text={gate.cleared_by} />
              </p>
              <GateAct gate={gate} onAct={onAct} refusals={refusals} />
            </div>
          </li>
        ))}
      </ul>
      {gates.length === 0 && given.length === 0 && (
        <p>{isOpen(request) ? 'Nothing is missing.' : 'Policy asked for no approval.'}</p>
      )}
      {explain.error !== null && <FaultView fault={explain.error} />}
      {explain.data?.obligations.map(({ obligation, who, bindings }) =>
        obligation.kind !== 'approval' ? null : (
          <p key={`${obligation.role} ${obligation.organization}`} className={styles.who}>
            <strong>{obligation.role}</strong>:{' '}
            {who === null ? (
              'you may not read who holds this role; ask an auditor, or whoever maintains the policy.'
            ) : who.length === 0 ? (
              'nobody who was seen holds this role here. '
            ) : (
              <Untrusted
                text={listed(
                  who.map(({ person, id }) => person ?? id),
                  20,
                )}
              />
            )}
            {bindings !== null && bindings.length > 0 && (
              <>
                {' '}
                Bound to: <Untrusted text={bindings.map(({ by, key }) => `${by} ${key}`).join(', ')} />.
              </>
            )}
          </p>
        ),
      )}
    </Panel>
  );
}

function GateAct({
  gate,
  onAct,
  refusals,
}: {
  gate: Gate;
  onAct: (act: Act) => void;
  refusals: Readonly<Partial<Record<Act, string>>>;
}) {
  const act = ACT_OF_GATE[gate.code];
  if (act === undefined) return null;
  const refusal = refusals[act];
  if (refusal !== undefined) return <p className={styles.refusal}>{refusal}</p>;
  return (
    <div>
      <Button onPress={() => onAct(act)}>{WORDS[act]}</Button>
    </div>
  );
}

const WORDS: Readonly<Partial<Record<Act, string>>> = {
  approve: 'Review and approve…',
  edit: 'Add it…',
  apply: 'Apply…',
  rebase: 'Base it on the flags as they are now…',
};

function Sign({ isGiven }: { isGiven: boolean }) {
  return (
    <span className={isGiven ? styles.yes : styles.no}>
      <span aria-hidden="true">{isGiven ? '✓' : '○'}</span>
      <Hidden>{isGiven ? 'given' : 'missing'}</Hidden>
    </span>
  );
}
