import type { RequestView } from '../../requests/view.ts';
import { changeInWords, folded } from './change-words.ts';

/** What a request does: a sentence for each part of a flag that it changes. */
export function sentencesOf({
  summary,
  changes,
  environment,
}: Pick<RequestView, 'summary' | 'changes' | 'environment'>): string[] {
  const sentences = folded(changes).map(({ change }) => changeInWords(change, environment));
  return sentences.length === 0 ? [summary ?? 'Changes nothing'] : sentences;
}

/** The same in one line: the first sentence, and how many there are besides. */
export function requestInWords(request: RequestView): string {
  const [first = '', ...others] = sentencesOf(request);
  return others.length === 0 ? first : `${first}, and ${others.length} more`;
}

/** The states, as people call them. */
export const STATE_WORDS: Readonly<Record<RequestView['state'], string>> = {
  pending: 'Held',
  ready: 'Ready',
  applied: 'Applied',
  rejected: 'Rejected',
  withdrawn: 'Withdrawn',
  expired: 'Expired',
  conflicted: 'Conflicted',
};

/** Whether somebody or something can still move the request. */
export function isOpen({ state }: Pick<RequestView, 'state'>): boolean {
  return state === 'pending' || state === 'ready';
}

/** The first characters of a digest, by which people compare it. */
export function shortDigest(digest: string): string {
  const hex = digest.replace(/^sha256:/, '').slice(0, 8);
  return `${hex.slice(0, 4)} ${hex.slice(4)}`;
}

/** What a gate waits for, in a few words. */
export function gateInWords({ code, cleared_by }: RequestView['gates'][number]): string {
  switch (code) {
    case 'approval_required':
      return `an approval by ${/^[aeiou]/.test(cleared_by) ? 'an' : 'a'} ${cleared_by}`;
    case 'ticket_required':
      return 'a ticket';
    case 'window_closed':
      return 'its change window';
    case 'blackout':
      return 'the end of a blackout';
    case 'cosigned_required':
      return 'the witnesses of the log';
    case 'sign_in_required':
      return 'a stronger or fresher sign-in';
    case 'start_time':
      return 'its start time';
    case 'apply_required':
      return 'a call to apply';
    case 'frozen':
      return 'the end of a freeze';
    default:
      return code.replaceAll('_', ' ');
  }
}

/** What a request waits for, or how it ended. */
export function standingInWords(request: RequestView): string {
  const { state, gates } = request;
  if (!isOpen(request)) return STATE_WORDS[state];
  const waits = [...new Set(gates.map(gateInWords))];
  if (waits.length === 0) return 'Waits for the broker to apply it';
  return `Waits for ${waits.length === 1 ? waits[0] : `${waits.slice(0, -1).join(', ')} and ${waits.at(-1)}`}`;
}
