import { useQueryClient } from '@tanstack/react-query';
import type { BreakglassView } from '../../../emergency/break-glass.ts';
import type { Change } from '../../../flags/changes.ts';
import { api } from '../../api/api.ts';
import { Button } from '../../parts/button.tsx';
import { requestInWords, standingInWords } from '../../parts/request-words.ts';
import { ActButton } from './act-button.tsx';
import { Forecast, useForecast } from './forecast.tsx';
import styles from './incident.module.css';
import type { Incident } from './incident-fields.tsx';
import { Outcome } from './outcome.tsx';
import { useAct } from './use-act.ts';

/** Changes flags for an incident: as a request, or in a break-glass session at once. */
export function ChangeForm({
  name,
  incident,
  session,
  environment,
  changes,
  button,
  isSo,
  onCancel,
}: {
  name: string;
  incident: Incident;
  session: BreakglassView | null;
  environment: string;
  changes: Change[];
  button: string;
  /** Whether the flag is as the changes make it. */
  isSo?: boolean;
  onCancel: () => void;
}) {
  const queries = useQueryClient();
  const content = { kind: 'flag.change', environment, changes } as const;
  const forecast = useForecast(
    session === null ? { content: { ...content, reason: 'asked beforehand', ticket: 'INC-0' } } : null,
  );
  const { reason, incident: ticket, isGiven } = incident;
  const sent = session === null ? { ...content, reason, ticket } : { session: session.id, ...content };
  const act = useAct(name, sent, {
    send: (idempotencyKey) =>
      session === null
        ? api('proposeRequest', { body: { ...content, reason, ticket }, idempotencyKey })
        : api('applyInBreakGlass', {
            params: { id: session.id },
            body: { environment, changes },
            idempotencyKey,
          }),
    onDone: (request) => {
      for (const what of ['flags', 'requests']) {
        queries.invalidateQueries({ queryKey: [what] }).catch(() => undefined);
      }
      return `${requestInWords(request)}. ${standingInWords(request)}.`;
    },
    ...(isSo === undefined ? {} : { holds: () => isSo }),
  });
  return (
    <div className={styles.form}>
      {act.answer === undefined && (
        <Forecast forecast={forecast} allowed="Policy lets it be applied at once." />
      )}
      <ActButton
        act={{ ...act, press: () => (session !== null || isGiven() ? act.press() : undefined) }}
        kind={session === null ? 'primary' : 'danger'}
        isDisabled={forecast.data?.effect === 'deny'}
        doneText={act.answer?.state === 'applied' ? 'Applied' : 'Proposed'}
      >
        {button}
      </ActButton>
      {act.answer === undefined ? (
        <Button kind="quiet" onPress={onCancel}>
          Cancel
        </Button>
      ) : (
        <Outcome request={act.answer} />
      )}
    </div>
  );
}
