import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import type { z } from 'zod';
import type { previewSchema, revokedSchema } from '../../../revocation/incident.ts';
import type { RevocationView } from '../../../revocation/view.ts';
import { api } from '../../api/api.ts';
import { useSession } from '../../app/session.tsx';
import { announce } from '../../parts/announce.tsx';
import { Button } from '../../parts/button.tsx';
import { counted } from '../../parts/change-words.ts';
import { useDraft } from '../../parts/draft.ts';
import { FaultView } from '../../parts/fault.tsx';
import { Choice, TextField } from '../../parts/fields.tsx';
import { Untrusted } from '../../parts/untrusted.tsx';
import { ActButton } from './act-button.tsx';
import { Forecast, useForecast } from './forecast.tsx';
import styles from './incident.module.css';
import type { Incident } from './incident-fields.tsx';
import { CLASS_OPTIONS, KIND_WORDS, KINDS } from './revoked-kinds.ts';
import { useAct } from './use-act.ts';

interface Typed {
  kind: RevocationView['kind'];
  value: string;
  before: 'lifted' | 'now';
}

type Impact = Pick<z.infer<typeof previewSchema>, 'hits' | 'cautions'>;

/** Revokes: first what it would hit, then the press. One person is enough, and it is in force at the next request. */
export function RevokeForm({ incident }: { incident: Incident }) {
  const { principal } = useSession();
  const queries = useQueryClient();
  const [typed, setTyped] = useDraft<Typed>(principal.person ?? principal.id, 'revoke', {
    kind: 'subject',
    value: '',
    before: 'lifted',
  });
  const change = (part: Partial<Typed>) => setTyped({ ...typed, ...part });
  const { kind } = typed;
  const value = kind === 'class' && typed.value === '' ? CLASS_OPTIONS[0][0] : typed.value.trim();
  const named = { kind, value, before: typed.before, incident: incident.incident, reason: incident.reason };
  const forecast = useForecast({ operation: 'revocation.add', environment: null, namespace: null });
  // By the clock of the broker, which refuses a moment of its future. One press has one moment, however often it is sent.
  const [cutMs, setCutMs] = useState<number | null>(null);
  const isCut = kind !== 'class' && typed.before === 'now';
  const bodyOf = (dry_run: boolean, atMs: number | null) => ({
    kind,
    value,
    incident: named.incident,
    reason: named.reason,
    dry_run,
    issued_before: isCut ? atMs : null,
  });
  const preview = useMutation({
    mutationFn: async (of: string) => {
      const atMs = isCut ? ((await forecast.refetch()).data?.at_ms ?? null) : null;
      setCutMs(atMs);
      return { of, impact: (await api('addRevocation', { body: bodyOf(true, atMs) })) as Impact };
    },
    onSuccess: ({ impact }) => announce(`It would hit ${hitsInWords(impact.hits)}.`),
  });
  const of = JSON.stringify(named);
  const seen = preview.data?.of === of ? preview.data.impact : null;
  const act = useAct(
    'revoke',
    { ...named, cutMs },
    {
      send: async (idempotencyKey) =>
        (await api('addRevocation', { body: bodyOf(false, cutMs), idempotencyKey })) as z.infer<
          typeof revokedSchema
        >,
      onDone: ({ hits }) => {
        queries.invalidateQueries({ queryKey: ['revocations'] }).catch(() => undefined);
        return `Revoked. It hit ${hitsInWords(hits)}.`;
      },
    },
  );
  const isReady = value !== '' && forecast.data?.effect !== 'deny';
  return (
    <form className={styles.form} noValidate aria-label="Revoke" onSubmit={(event) => event.preventDefault()}>
      <p>Whose laptop or pipeline was taken over? Look at what it would hit, then revoke.</p>
      <Choice
        label="What to revoke"
        value={kind}
        options={KINDS.map((each) => [each, KIND_WORDS[each].name] as const)}
        onChange={(each) => change({ kind: each, value: '' })}
        hint={KIND_WORDS[kind].hint}
      />
      {kind === 'class' ? (
        <Choice
          label="Which"
          value={value}
          options={CLASS_OPTIONS}
          onChange={(each) => change({ value: each })}
        />
      ) : (
        <TextField
          label="Its name"
          value={typed.value}
          isRequired
          onChange={(each) => change({ value: each })}
        />
      )}
      {kind !== 'class' && kind !== 'token' && kind !== 'session' && (
        <Choice
          label="How much"
          value={typed.before}
          options={[
            ['lifted', 'everything, until it is lifted'],
            ['now', 'what was issued until now; they may come back by a new sign-in'],
          ]}
          onChange={(before) => change({ before })}
        />
      )}
      {act.answer === undefined && (
        <Forecast forecast={forecast} allowed="Policy lets you revoke, alone and at once." />
      )}
      <Button
        isDisabled={!isReady}
        isPending={preview.isPending}
        onPress={() => (incident.isGiven() ? preview.mutate(of) : undefined)}
      >
        Show what it would hit
      </Button>
      {value === '' && <p className={styles.muted}>Name it first.</p>}
      {preview.error !== null && seen === null && <FaultView fault={preview.error} />}
      {seen !== null && act.answer === undefined && <ImpactView says="It would hit" impact={seen} />}
      {(seen !== null || act.answer !== undefined) && (
        <ActButton
          act={{ ...act, press: () => (incident.isGiven() ? act.press() : undefined) }}
          kind="danger"
          isDisabled={!isReady}
          doneText="Revoked"
        >
          Revoke {KIND_WORDS[kind].name.toLowerCase()} {value}
        </ActButton>
      )}
      {act.answer !== undefined && <ImpactView says="It hit" impact={act.answer} />}
    </form>
  );
}

function ImpactView({ says, impact: { hits, cautions } }: { says: string; impact: Impact }) {
  return (
    <div className={styles.held}>
      <p>
        {says} <strong>{hitsInWords(hits)}</strong>.
      </p>
      {hits.principals.length > 0 && (
        <p>
          <Untrusted text={hits.principals.slice(0, 20).join(', ')} />
          {hits.principals.length > 20 && ` and ${hits.principals.length - 20} more`}
        </p>
      )}
      {cautions.map(({ code, detail }) => (
        <p key={code}>
          <strong>Mind:</strong> <Untrusted text={detail} />
        </p>
      ))}
    </div>
  );
}

function hitsInWords({ principals, sessions, tokens, requests, approvals }: Impact['hits']): string {
  return [
    counted(principals.length, 'known principal'),
    counted(sessions.length, 'session'),
    counted(tokens.length, 'token'),
    counted(requests.length, 'open request'),
    counted(approvals.length, 'approval'),
  ].join(', ');
}
