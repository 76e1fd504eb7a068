import { Fault } from '../api/fault.ts';
import { useDraft } from './draft.ts';

const NOTHING_SENT = { of: '', key: '' };

/** The Idempotency-Key of a call that may have to be sent again. */
export interface RetryKey {
  /** The key for what is sent: the same as before, if that was sent and not answered. */
  keyFor: (sent: unknown) => string;
  /** Takes the end of the call: after an answer, the same content is another call. */
  onSettled: (answer: unknown, error: Error | null) => void;
}

/**
 * Keeps the key of a call until it is answered, also over a page that is loaded again, so that nothing is done twice.
 *
 * @param name what is sent, among the drafts of the person
 */
export function useRetryKey(person: string, name: string): RetryKey {
  const [unanswered, keep, forget] = useDraft(person, `unanswered ${name}`, NOTHING_SENT);
  return {
    keyFor: (sent) => {
      const of = JSON.stringify(sent);
      if (unanswered.of === of) return unanswered.key;
      const key = crypto.randomUUID();
      keep({ of, key });
      return key;
    },
    onSettled: (_, error) => {
      // A refusal was an answer, too.
      if (error === null || (error instanceof Fault && error.status >= 400 && error.status < 500)) forget();
    },
  };
}
