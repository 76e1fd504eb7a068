import { useMutation } from '@tanstack/react-query';
import { useRef, useState } from 'react';
import { Fault } from '../../api/fault.ts';
import { useSession } from '../../app/session.tsx';
import { announce } from '../../parts/announce.tsx';
import { useDraft } from '../../parts/draft.ts';

/** Something that is sent once, however often somebody presses. */
export interface Act<Answer> {
  press: () => void;
  isPending: boolean;
  /** The answer to what is in the form; undefined as soon as the form says something else. */
  answer: Answer | undefined;
  fault: Error | null;
  /** What pressing again did, which is nothing. */
  note: string | null;
}

/**
 * Sends what a form says. An answer that got lost, by the network or by a page that was closed, is asked for again under the same
 * key, so that the act is not done twice.
 *
 * @param name what the act is, among the drafts of the person
 * @param sent what is sent: other content is another act
 */
export function useAct<Answer>(
  name: string,
  sent: unknown,
  {
    send,
    onDone,
    holds,
  }: {
    send: (idempotencyKey: string) => Promise<Answer>;
    onDone: (answer: Answer) => string;
    /** Whether what was done still holds, as it is read. Once it was seen to hold and holds no more, it can be done again. */
    holds?: (answer: Answer) => boolean;
  },
): Act<Answer> {
  const { principal } = useSession();
  const nothing = { of: '', key: '' };
  const [unanswered, keep, forget] = useDraft(
    principal.person ?? principal.id,
    `unanswered ${name}`,
    nothing,
  );
  const [note, setNote] = useState<string | null>(null);
  const [doneWith, setDoneWith] = useState<string | null>(null);
  const [seenToHold, setSeenToHold] = useState(false);
  const isFlying = useRef(false);
  const now = JSON.stringify(sent);
  const mutation = useMutation({
    mutationFn: ({ key }: { key: string; of: string }) => send(key),
    onSuccess: (answer, { of }) => {
      forget();
      setDoneWith(of);
      setSeenToHold(false);
      announce(onDone(answer));
    },
    onError: (error) => {
      // A refusal was an answer. Asked again, it is decided again.
      if (error instanceof Fault && error.status >= 400 && error.status < 500) forget();
    },
    onSettled: () => {
      isFlying.current = false;
    },
  });
  const wasDone = doneWith === now;
  const isHeld = !wasDone || mutation.data === undefined || (holds?.(mutation.data) ?? true);
  if (wasDone && isHeld && !seenToHold) setSeenToHold(true);
  const isDone = wasDone && (isHeld || !seenToHold);
  const say = (text: string) => {
    setNote(text);
    announce(text);
  };
  return {
    press: () => {
      if (isFlying.current) return say('It is on its way. Pressing again sends nothing more.');
      if (isDone) return say('It is done already. Pressing again sent nothing more.');
      isFlying.current = true;
      setNote(null);
      const of = { of: now, key: unanswered.of === now ? unanswered.key : crypto.randomUUID() };
      keep(of);
      mutation.mutate(of);
    },
    isPending: mutation.isPending,
    answer: isDone ? mutation.data : undefined,
    fault: isDone ? null : mutation.error,
    note: wasDone && !isDone ? null : note,
  };
}
