import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { getRouteApi, useNavigate } from '@tanstack/react-router';
import { type ReactNode, useState } from 'react';
import { api } from '../../api/api.ts';
import { Fault } from '../../api/fault.ts';
import { environments } from '../../api/queries.ts';
import { useSession } from '../../app/session.tsx';
import { announce } from '../../parts/announce.tsx';
import { Button } from '../../parts/button.tsx';
import { useDraft } from '../../parts/draft.ts';
import { FaultView } from '../../parts/fault.tsx';
import { Choice, TextField } from '../../parts/fields.tsx';
import { PageHead } from '../../parts/page-head.tsx';
import { Panel } from '../../parts/panel.tsx';
import { requestInWords, STATE_WORDS } from '../../parts/request-words.ts';
import { useRetryKey } from '../../parts/retry-key.ts';
import { Skeleton } from '../../parts/skeleton.tsx';
import { ChangeFields } from './change-fields.tsx';
import { isAskable, newChange, type TypedProposal, toContent } from './proposal.ts';
import styles from './propose.module.css';
import { useUsersOf } from './users-of.ts';
import { useWhatIf, WhatIfPanel } from './what-if.tsx';

const route = getRouteApi('/propose');

/** A change of one flag or of many, by form, with the answer of the policy while one types. */
export function ProposePage(): ReactNode {
  const { data, error } = useQuery(environments);
  const { flag = '' } = route.useSearch();
  return (
    <>
      <PageHead title="Propose a change" />
      {error !== null && <FaultView fault={error} />}
      {data === undefined && error === null && <Skeleton lines={5} />}
      {data !== undefined && <ProposalForm key={flag} environments={data} />}
    </>
  );
}

function ProposalForm({ environments: known }: { environments: readonly string[] }) {
  const { flag = '', environment } = route.useSearch();
  const { principal } = useSession();
  const navigate = useNavigate();
  const queries = useQueryClient();
  const [initial] = useState<TypedProposal>(() => ({
    environment: environment ?? known[0] ?? '',
    changes: [newChange(1, flag)],
    reason: '',
    ticket: '',
    apply: 'auto',
  }));
  const [typed, setTyped, forget] = useDraft(principal.person ?? principal.id, `proposal ${flag}`, initial);
  const { keyFor, onSettled } = useRetryKey(principal.person ?? principal.id, `proposal ${flag}`);
  const [hasTried, setTried] = useState(false);
  const set = (part: Partial<TypedProposal>) => setTyped({ ...typed, ...part });
  const usersOf = useUsersOf(typed);
  const whatIf = useWhatIf(typed, usersOf.now);
  const flags = useQuery({
    queryKey: ['flags', 'keys', typed.environment],
    queryFn: ({ signal }) =>
      api('listFlags', { query: { environment: typed.environment, limit: 200 }, signal }),
    enabled: typed.environment !== '',
    retry: false,
    staleTime: 60_000,
  });
  const propose = useMutation({
    mutationFn: () => {
      const body = toContent(typed, usersOf.now);
      return api('proposeRequest', { body, idempotencyKey: keyFor(body) });
    },
    onSettled,
    onSuccess: (request) => {
      forget();
      queries.setQueryData(['request', request.id], request);
      queries.invalidateQueries({ queryKey: ['requests'] }).catch(() => undefined);
      announce(`Proposed. ${STATE_WORDS[request.state]}: ${requestInWords(request)}.`);
      navigate({ to: '/requests/$id', params: { id: request.id } }).catch(() => undefined);
    },
  });
  const faults = [whatIf.error, propose.error].flatMap((each) => (each instanceof Fault ? each.errors : []));
  const faultAt = (pointer: string) => faults.find((fault) => fault.pointer.endsWith(pointer))?.detail;
  const isMissing = typed.reason.trim() === '';
  const keys = (flags.data?.items ?? []).map((each) => each.key);
  return (
    <form
      className={styles.page}
      noValidate
      aria-label="Proposal"
      onSubmit={(event) => {
        event.preventDefault();
        setTried(true);
        if (!isMissing && isAskable(typed) && !usersOf.isPending && !propose.isPending) propose.mutate();
      }}
    >
      <div className={styles.form}>
        <Panel title="Changes">
          <Choice
            label="Environment"
            value={typed.environment}
            options={known.map((each) => [each, each])}
            onChange={(value) => set({ environment: value })}
          />
          {typed.changes.map((change, place) => (
            <ChangeFields
              key={change.id}
              change={change}
              number={place + 1}
              flags={keys}
              users={usersOf.now.get(change.flag)?.length ?? null}
              faultAt={(member) =>
                faultAt(`/changes/${place}/${member}`) ??
                (hasTried && member === 'flag' && change.flag === '' ? 'Name a flag.' : undefined)
              }
              onChange={(next) =>
                set({ changes: typed.changes.map((each) => (each.id === next.id ? next : each)) })
              }
              onRemove={
                typed.changes.length === 1
                  ? null
                  : () => set({ changes: typed.changes.filter(({ id }) => id !== change.id) })
              }
            />
          ))}
          <div>
            <Button
              onPress={() => {
                const last = typed.changes.at(-1);
                const next = newChange((last?.id ?? 0) + 1, last?.flag);
                set({ changes: [...typed.changes, next] });
              }}
            >
              Add a change
            </Button>
          </div>
          <p className={styles.calm}>All changes of a request are applied together, or none of them.</p>
        </Panel>
        <Panel title="Why">
          <TextField
            label="Reason"
            isRequired
            lines={3}
            value={typed.reason}
            fault={hasTried && isMissing ? 'Say why: whoever approves it reads it.' : faultAt('/reason')}
            onChange={(reason) => set({ reason })}
          />
          <div className={styles.row}>
            <TextField
              label="Ticket"
              value={typed.ticket}
              fault={faultAt('/ticket')}
              onChange={(ticket) => set({ ticket })}
            />
            <Choice
              label="When policy allows it"
              value={typed.apply}
              options={[
                ['auto', 'apply it at once'],
                ['manual', 'wait for a call to apply'],
              ]}
              onChange={(apply) => set({ apply })}
            />
          </div>
        </Panel>
      </div>
      <aside className={styles.aside} aria-label="What will the policy say?" aria-live="polite">
        <WhatIfPanel answer={whatIf} isAskable={isAskable(typed)} />
      </aside>
      <div className={styles.form}>
        {propose.error !== null && <FaultView fault={propose.error} />}
        <div className={styles.buttons}>
          <Button type="submit" kind="primary" isPending={propose.isPending}>
            Propose
          </Button>
          <Button onPress={forget}>Clear the form</Button>
        </div>
      </div>
    </form>
  );
}
