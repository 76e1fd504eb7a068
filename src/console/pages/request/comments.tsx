import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import type { CommentView } from '../../../requests/comment-view.ts';
import type { RequestView } from '../../../requests/view.ts';
import { api } from '../../api/api.ts';
import { REFRESH_MS } from '../../api/queries.ts';
import { useSession } from '../../app/session.tsx';
import { announce } from '../../parts/announce.tsx';
import { Button } from '../../parts/button.tsx';
import { Dialog } from '../../parts/dialog.tsx';
import { useDraft } from '../../parts/draft.ts';
import { FaultView } from '../../parts/fault.tsx';
import { TextField } from '../../parts/fields.tsx';
import { Moment } from '../../parts/moment.tsx';
import { Panel } from '../../parts/panel.tsx';
import { isOpen, shortDigest } from '../../parts/request-words.ts';
import { useRetryKey } from '../../parts/retry-key.ts';
import { Skeleton } from '../../parts/skeleton.tsx';
import { Untrusted } from '../../parts/untrusted.tsx';
import { isAuthorOf } from './acts.ts';
import styles from './comments.module.css';

const NOTHING_TYPED = '';

/** What people say about the request, and the field to say more. Asking for changes holds it back until they are made. */
export function CommentsPanel({ request, isOff }: { request: RequestView; isOff: boolean }) {
  const { id, digest } = request;
  const { principal } = useSession();
  const person = principal.person ?? principal.id;
  const queries = useQueryClient();
  const comments = useQuery({
    queryKey: ['request', id, 'comments'],
    queryFn: ({ signal }) => api('listComments', { params: { id }, query: { limit: 200 }, signal }),
    refetchInterval: REFRESH_MS,
  });
  const [text, setText, forget] = useDraft(person, `comment ${id}`, NOTHING_TYPED);
  const { keyFor, onSettled } = useRetryKey(person, `comment ${id}`);
  const say = useMutation({
    mutationFn: async (kind: 'comment' | 'changes') => {
      const idempotencyKey = keyFor([kind, text, digest]);
      if (kind === 'changes')
        await api('requestChanges', { params: { id }, body: { text, digest }, idempotencyKey });
      else await api('commentOnRequest', { params: { id }, body: { text }, idempotencyKey });
    },
    onSettled,
    onSuccess: () => {
      forget();
      announce('Your comment is there.');
      queries.invalidateQueries({ queryKey: ['request', id] }).catch(() => undefined);
    },
  });
  // By whatever sign-in of the person it was said.
  const isOwn = (comment: CommentView) =>
    comment.principal === principal.id || (comment.person !== null && comment.person === principal.person);
  const [withdrawn, setWithdrawn] = useState<CommentView | null>(null);
  const isAuthor = isAuthorOf(request, person);
  const isEmpty = text.trim() === '';
  return (
    <Panel title="Comments">
      {comments.isPending && <Skeleton lines={1} />}
      {comments.error !== null && <FaultView fault={comments.error} />}
      {comments.data !== undefined && comments.data.items.length === 0 && (
        <p className={styles.calm}>Nobody has commented yet.</p>
      )}
      <ol className={styles.list}>
        {comments.data?.items.map((comment) => (
          <li key={comment.id} className={comment.stands ? styles.standing : undefined}>
            <p className={styles.calm}>
              <strong>
                <Untrusted text={comment.person ?? comment.principal} />
              </strong>{' '}
              {comment.kind === 'changes_requested' &&
                (comment.stands ? 'asks for changes' : 'asked for changes')}{' '}
              <Moment ms={comment.at_ms} />
              {comment.digest !== digest && (
                <>
                  , about <code>{shortDigest(comment.digest)}</code>
                </>
              )}
            </p>
            <p>{comment.text === null ? 'It was withdrawn.' : <Untrusted text={comment.text} />}</p>
            {comment.text !== null && isOwn(comment) && (
              <Button
                kind="quiet"
                label={comment.stands ? 'Withdraw what you ask for' : 'Withdraw your comment'}
                onPress={() => setWithdrawn(comment)}
              >
                Withdraw…
              </Button>
            )}
          </li>
        ))}
      </ol>
      <form
        className={styles.form}
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          if (!isEmpty && !say.isPending) say.mutate('comment');
        }}
      >
        <TextField label="Your comment" name="comment" lines={2} value={text} onChange={setText} />
        {say.error !== null && <FaultView fault={say.error} />}
        <div className={styles.buttons}>
          <Button type="submit" isPending={say.isPending}>
            Comment
          </Button>
          {isOpen(request) && !isAuthor && (
            <Button
              isDisabled={isOff || isEmpty}
              onPress={() => {
                if (!say.isPending) say.mutate('changes');
              }}
            >
              Ask for changes
            </Button>
          )}
        </div>
      </form>
      {withdrawn !== null && <WithdrawDialog comment={withdrawn} onClose={() => setWithdrawn(null)} />}
    </Panel>
  );
}

/** Confirms that somebody takes back what they said. */
function WithdrawDialog({ comment, onClose }: { comment: CommentView; onClose: () => void }) {
  const queries = useQueryClient();
  const { id, request_id, stands, text } = comment;
  const withdraw = useMutation({
    mutationFn: () => api('withdrawComment', { params: { id: request_id, comment: id } }),
    onSuccess: () => {
      announce('Your comment is withdrawn.');
      onClose();
    },
    onSettled: () => queries.invalidateQueries({ queryKey: ['request', request_id] }),
  });
  return (
    <Dialog title="Withdraw your comment" isAlert onClose={onClose}>
      <p>
        <Untrusted text={text ?? ''} />
      </p>
      <p>
        Its text is taken away for good.
        {stands &&
          ' It holds the request back no more: if nothing else is missing, the change is applied at once.'}
      </p>
      {withdraw.error !== null && <FaultView fault={withdraw.error} />}
      <div className={styles.buttons}>
        <Button kind="danger" isPending={withdraw.isPending} onPress={() => withdraw.mutate()}>
          Withdraw
        </Button>
        <Button onPress={onClose}>Cancel</Button>
      </div>
    </Dialog>
  );
}
