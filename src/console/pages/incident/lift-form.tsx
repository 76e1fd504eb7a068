import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { api } from '../../api/api.ts';
import { useSession } from '../../app/session.tsx';
import { buttonClass } from '../../parts/button.tsx';
import { useDraft } from '../../parts/draft.ts';
import { TextField } from '../../parts/fields.tsx';
import { standingInWords } from '../../parts/request-words.ts';
import { ActButton } from './act-button.tsx';
import { Forecast, useForecast } from './forecast.tsx';
import styles from './incident.module.css';
import { Outcome } from './outcome.tsx';
import { useAct } from './use-act.ts';

type Lift = { kind: 'freeze.lift'; freeze: string } | { kind: 'revocation.lift'; revocation: string };

/** Proposes to lift a freeze or a revocation. Lifting takes two persons: the request stands here with what it waits for. */
export function LiftForm({
  content,
  id,
  incident,
  what,
}: {
  content: Lift;
  id: string;
  incident: string;
  /** What is lifted, in words. */
  what: string;
}) {
  const { principal } = useSession();
  const queries = useQueryClient();
  const [reason, setReason, forget] = useDraft(principal.person ?? principal.id, `lift ${id}`, '');
  const proposed = useQuery({
    queryKey: ['requests', 'lifts', content.kind],
    queryFn: ({ signal }) =>
      api('listRequests', { query: { kind: content.kind, state: ['open'], limit: 200 }, signal }),
  });
  const open = proposed.data?.items.find(({ object }) => object?.id === id);
  const forecast = useForecast(
    open === undefined ? { content: { ...content, reason: 'asked beforehand', ticket: incident } } : null,
  );
  const body = { ...content, reason: reason.trim(), ticket: incident };
  const act = useAct(`lift ${id}`, body, {
    send: (idempotencyKey) => api('proposeRequest', { body, idempotencyKey }),
    onDone: (request) => {
      queries.invalidateQueries({ queryKey: ['requests'] }).catch(() => undefined);
      queries.invalidateQueries({ queryKey: ['freezes'] }).catch(() => undefined);
      return `The lift of ${what} is proposed. ${standingInWords(request)}.`;
    },
    holds: (request) => proposed.data?.items.some((each) => each.id === request.id) ?? true,
  });
  if (act.answer === undefined && open !== undefined) return <Outcome request={open} />;
  return (
    <form
      className={styles.form}
      noValidate
      aria-label={`Lift ${what}`}
      onSubmit={(event) => event.preventDefault()}
    >
      <p>Lifting takes two persons: you propose it here, and another person approves.</p>
      <Forecast forecast={forecast} allowed="Policy allows it at once." />
      <TextField
        label="Why it can be lifted"
        lines={2}
        isRequired
        autoFocus
        value={reason}
        onChange={setReason}
      />
      <ActButton
        act={{ ...act, press: () => (body.reason === '' ? undefined : act.press()) }}
        isDisabled={forecast.data?.effect === 'deny' || body.reason === ''}
        doneText="Proposed"
      >
        Propose to lift {what}
      </ActButton>
      {body.reason === '' && <p className={styles.muted}>Say why first.</p>}
      {act.answer !== undefined && <Outcome request={act.answer} />}
      <Link
        to="/incident"
        search={(now) => ({ ...now, lift: undefined })}
        className={buttonClass('quiet')}
        resetScroll={false}
        onClick={() => {
          if (act.answer !== undefined) forget();
        }}
      >
        {act.answer === undefined ? 'Cancel' : 'Close'}
      </Link>
    </form>
  );
}
