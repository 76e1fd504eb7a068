import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import type { RequestView } from '../../../requests/view.ts';
import { api } from '../../api/api.ts';
import { usePerson } from '../../app/session.tsx';
import { announce } from '../../parts/announce.tsx';
import { Button } from '../../parts/button.tsx';
import { Dialog } from '../../parts/dialog.tsx';
import { useDraft } from '../../parts/draft.ts';
import { FaultView } from '../../parts/fault.tsx';
import { Choice, TextField } from '../../parts/fields.tsx';
import { STATE_WORDS, sentencesOf, shortDigest, standingInWords } from '../../parts/request-words.ts';
import { Untrusted } from '../../parts/untrusted.tsx';
import styles from './act-dialog.module.css';
import type { Act } from './acts.ts';
import { NextWindow } from './next-window.tsx';

/** What somebody types for an act. */
interface Typed {
  comment: string;
  reason: string;
  ticket: string;
  apply: 'auto' | 'manual';
  when: 'next_window' | 'time';
  at: string;
}

/** How each act is confirmed. */
const CONFIRM: Readonly<
  Record<Act, { title: string; says: string; button: (digest: string) => string; isFinal: boolean }>
> = {
  approve: {
    title: 'Approve this change',
    says: 'Your name goes to the record with the digest of exactly this content. If the content changes, your approval counts no more.',
    button: (digest) => `Approve ${digest}`,
    isFinal: false,
  },
  reject: {
    title: 'Reject this change',
    says: 'A rejection is final. To be decided again, the change has to be proposed again.',
    button: (digest) => `Reject ${digest}`,
    isFinal: true,
  },
  edit: {
    title: 'Edit this request',
    says: 'An edit makes another content of it: approvals that were given count no more.',
    button: () => 'Save the edit',
    isFinal: false,
  },
  rebase: {
    title: 'Base it on the flags as they are now',
    says: 'The same content is planned again on the present flags. Approvals that were given count no more.',
    button: () => 'Rebase',
    isFinal: false,
  },
  schedule: {
    title: 'Choose when it is applied',
    says: 'It is applied then if policy allows it then. Approvals that were given count no more.',
    button: () => 'Schedule',
    isFinal: false,
  },
  apply: {
    title: 'Apply this change',
    says: 'Policy decides once more, at this moment.',
    button: (digest) => `Apply ${digest}`,
    isFinal: false,
  },
  withdraw: {
    title: 'Withdraw this request',
    says: 'It is final. The change can be proposed again.',
    button: () => 'Withdraw',
    isFinal: true,
  },
};

/** Confirms an act. What is typed is kept until it is sent, also over a sign-in in between. */
export function ActDialog({
  act,
  request,
  off,
  onDone,
  onClose,
}: {
  act: Act;
  request: RequestView;
  /** Why it cannot be sent now. */
  off: string | null;
  /** It was sent, and this is the request since. */
  onDone: (answer: RequestView) => void;
  onClose: () => void;
}) {
  const person = usePerson() ?? '';
  const queries = useQueryClient();
  const { title, says, button, isFinal } = CONFIRM[act];
  const [typed, setTyped, forget] = useDraft<Typed>(person, `${act} ${request.id}`, {
    comment: '',
    reason: request.reason,
    ticket: request.ticket ?? '',
    apply: request.apply,
    when: 'next_window',
    at: '',
  });
  const [isMissing, setMissing] = useState(false);
  const send = useMutation({
    mutationFn: () => callFor(act, request, typed),
    onSuccess: (answer) => {
      forget();
      onDone(answer);
      queries.setQueryData(['request', request.id], answer);
      announce(`${title}: done. ${STATE_WORDS[answer.state]}. ${standingInWords(answer)}.`);
      queries.invalidateQueries({ queryKey: ['requests'] }).catch(() => undefined);
    },
    // Whatever it was, the page shows the present state.
    onError: () => queries.invalidateQueries({ queryKey: ['request', request.id] }),
  });
  const isTimeless =
    act === 'schedule' && typed.when === 'time' && Number.isNaN(new Date(typed.at).getTime());
  const isEmpty = isTimeless || (act === 'reject' && typed.comment.trim() === '');
  const change = (part: Partial<Typed>) => setTyped({ ...typed, ...part });
  return (
    <Dialog title={title} isAlert={isFinal} onClose={onClose}>
      <ul className={styles.what}>
        {sentencesOf(request).map((sentence) => (
          <li key={sentence}>
            <Untrusted text={sentence} />
          </li>
        ))}
      </ul>
      <p>{says}</p>
      <form
        className={styles.form}
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          setMissing(isEmpty);
          if (!isEmpty && off === null && !send.isPending) send.mutate();
        }}
      >
        {(act === 'approve' || act === 'reject') && (
          <TextField
            label={act === 'approve' ? 'Comment' : 'Why'}
            lines={3}
            autoFocus
            isRequired={act === 'reject'}
            fault={isMissing && isEmpty ? 'Say why: the proposer reads it.' : undefined}
            value={typed.comment}
            onChange={(comment) => change({ comment })}
          />
        )}
        {act === 'edit' && (
          <>
            <TextField
              label="Reason"
              lines={3}
              autoFocus
              isRequired
              value={typed.reason}
              onChange={(reason) => change({ reason })}
            />
            <TextField label="Ticket" value={typed.ticket} onChange={(ticket) => change({ ticket })} />
            <Choice
              label="When policy allows it"
              value={typed.apply}
              options={[
                ['auto', 'apply it at once'],
                ['manual', 'wait for a call to apply'],
              ]}
              onChange={(apply) => change({ apply })}
            />
          </>
        )}
        {act === 'schedule' && (
          <>
            <Choice
              label="When"
              value={typed.when}
              options={[
                ['next_window', 'as soon as policy and its windows allow'],
                ['time', 'not before a time'],
              ]}
              onChange={(when) => change({ when })}
            />
            {typed.when === 'next_window' && <NextWindow id={request.id} />}
            {typed.when === 'time' && (
              <TextField
                label="Not before"
                type="datetime-local"
                isRequired
                fault={isMissing && isTimeless ? 'Choose a time.' : undefined}
                hint={`In your zone, ${Intl.DateTimeFormat().resolvedOptions().timeZone}.`}
                value={typed.at}
                onChange={(at) => change({ at })}
              />
            )}
          </>
        )}
        {send.error !== null && <FaultView fault={send.error} />}
        {off !== null && !send.isPending && !send.isSuccess && <p role="status">{off}</p>}
        <div className={styles.buttons}>
          <Button
            type="submit"
            kind={isFinal ? 'danger' : 'primary'}
            isDisabled={off !== null}
            isPending={send.isPending}
          >
            {button(shortDigest(request.digest))}
          </Button>
          <Button onPress={onClose}>Cancel</Button>
        </div>
      </form>
    </Dialog>
  );
}

function callFor(act: Act, { id, digest }: RequestView, typed: Typed): Promise<RequestView> {
  const params = { id };
  const comment = typed.comment.trim() === '' ? {} : { comment: typed.comment.trim() };
  switch (act) {
    case 'approve':
      return api('approveRequest', { params, body: { digest, ...comment } });
    case 'reject':
      return api('rejectRequest', { params, body: { digest, ...comment } });
    case 'edit': {
      const { reason, ticket, apply } = typed;
      return api('editRequest', {
        params,
        body: { digest, reason, ticket: ticket === '' ? null : ticket, apply },
      });
    }
    case 'rebase':
      return api('rebaseRequest', { params, body: { digest } });
    case 'schedule': {
      const at = typed.when === 'time' ? new Date(typed.at).getTime() : 'next_window';
      return api('scheduleRequest', { params, body: { digest, at } });
    }
    case 'apply':
      return api('applyRequest', { params, body: { digest } });
    case 'withdraw':
      return api('withdrawRequest', { params, body: { digest } });
  }
}
