import { useMutation } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { api, type Given } from '../../api/api.ts';
import { announce } from '../../parts/announce.tsx';
import { Button } from '../../parts/button.tsx';
import { Explanation } from '../../parts/explanation.tsx';
import { FaultView } from '../../parts/fault.tsx';
import { Choice, TextField } from '../../parts/fields.tsx';
import { Panel } from '../../parts/panel.tsx';
import { OPERATION_WORDS } from '../audit/decision-words.ts';
import styles from './policy.module.css';
import type { PolicySearch } from './search.ts';

type Question = Given<'explainPolicy'>['body'];

/** The operations that can be asked about without a change. */
const PLAIN = [
  'request.read',
  'flag.read',
  'decision.read',
  'log.read',
  'freeze.read',
  'breakglass.open',
  'breakglass.close',
  'breakglass.read',
  'token.introspect',
  'agent.delegate',
  'revocation.add',
  'revocation.preview',
  'revocation.read',
  'revocation.drill',
  'principal.read',
  'principal.disable',
  'principal.enable',
  'access.read',
  'trust.test',
  'key.read',
  'key.rotate',
  'policy.read',
  'policy.upload',
  'policy.activate',
] as const;

const ACTIONS = [
  ['enable', 'switch on'],
  ['disable', 'switch off'],
] as const;

/** Why the policy answered so, and what it would answer. */
export function Explain({ search: { decision, request } }: { search: PolicySearch }) {
  const { mutate, data, error, isPending } = useMutation({
    mutationFn: (body: Question) => api('explainPolicy', { body }),
    onSuccess: ({ effect }) => announce(`The answer is ${effect}.`),
  });
  const [id, setId] = useState(decision ?? request ?? '');
  const [about, setAbout] = useState<'decision' | 'request'>(request === undefined ? 'decision' : 'request');
  // A link asks by itself.
  useEffect(() => {
    if (decision !== undefined) mutate({ decision });
    else if (request !== undefined) mutate({ request });
  }, [decision, request, mutate]);
  return (
    <div className={styles.parts}>
      <Panel title="Why it answered so">
        <form
          className={styles.form}
          onSubmit={(event) => {
            event.preventDefault();
            mutate(about === 'decision' ? { decision: id.trim() } : { request: id.trim() });
          }}
        >
          <Choice
            label="About"
            value={about}
            options={[
              ['decision', 'a decision'],
              ['request', 'a request as it stands now'],
            ]}
            onChange={setAbout}
          />
          <TextField label="Its id" value={id} onChange={setId} isRequired />
          <div className={styles.wide}>
            <Button type="submit" isPending={isPending}>
              Explain
            </Button>
          </div>
        </form>
      </Panel>
      <WhatIf isPending={isPending} ask={mutate} />
      {error !== null && <FaultView fault={error} />}
      {data !== undefined && (
        <Panel title="The answer">
          <Explanation explanation={data} />
        </Panel>
      )}
    </div>
  );
}

/** Asks what the policy would answer, about anybody. Nothing is proposed. */
function WhatIf({ ask, isPending }: { ask: (body: Question) => void; isPending: boolean }) {
  const [what, setWhat] = useState<'change' | 'operation'>('change');
  const [action, setAction] = useState<'enable' | 'disable'>('enable');
  const [operation, setOperation] = useState<(typeof PLAIN)[number]>('flag.read');
  const [draft, setDraft] = useState({
    flag: '',
    environment: '',
    namespace: '',
    ticket: '',
    who: '',
    groups: '',
  });
  const put = (name: keyof typeof draft) => (value: string) => setDraft({ ...draft, [name]: value });
  const send = () => {
    const { flag, environment, namespace, ticket, who, groups } = draft;
    const names = groups
      .split(',')
      .map((each) => each.trim())
      .filter((each) => each !== '');
    const as =
      names.length > 0
        ? { as: { groups: names } }
        : who.trim() === ''
          ? {}
          : { as: { principal: who.trim() } };
    if (what === 'operation') {
      ask({ what_if: { ...as, operation, environment: environment || null, namespace: namespace || null } });
      return;
    }
    ask({
      what_if: {
        ...as,
        content: {
          environment,
          changes: [{ action, flag }],
          reason: 'what if',
          ...(ticket === '' ? {} : { ticket }),
        },
      },
    });
  };
  return (
    <Panel title="What if">
      <form
        className={styles.form}
        onSubmit={(event) => {
          event.preventDefault();
          send();
        }}
      >
        <Choice
          label="Somebody wants to"
          value={what}
          options={[
            ['change', 'change a flag'],
            ['operation', 'do something else'],
          ]}
          onChange={setWhat}
        />
        {what === 'change' ? (
          <>
            <Choice label="Change" value={action} options={ACTIONS} onChange={setAction} />
            <TextField label="Flag" value={draft.flag} onChange={put('flag')} isRequired />
            <TextField label="Ticket" value={draft.ticket} onChange={put('ticket')} />
          </>
        ) : (
          <>
            <Choice
              label="Operation"
              value={operation}
              options={PLAIN.map((name) => [name, OPERATION_WORDS[name]] as const)}
              onChange={setOperation}
            />
            <TextField label="Namespace" value={draft.namespace} onChange={put('namespace')} />
          </>
        )}
        <TextField
          label="Environment"
          value={draft.environment}
          onChange={put('environment')}
          isRequired={what === 'change'}
        />
        <TextField
          label="As person or principal"
          value={draft.who}
          onChange={put('who')}
          hint="Empty: you."
        />
        <TextField
          label="Or with these groups"
          value={draft.groups}
          onChange={put('groups')}
          hint="With commas between them."
        />
        <div className={styles.wide}>
          <Button type="submit" isPending={isPending}>
            Ask the policy
          </Button>
        </div>
      </form>
      <p>Nothing is proposed and nothing changes. Who asks about others is recorded.</p>
    </Panel>
  );
}
