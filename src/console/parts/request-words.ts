import type { RequestView } from '../../requests/view.ts';
import { changeInWords } from './change-words.ts';

/** What a request does, as a sentence; of several changes the first one and their number. */
export function requestInWords({ summary, changes, environment }: RequestView): string {
  const [first, ...others] = changes;
  if (first === undefined) return summary ?? 'Changes nothing';
  const more = others.length === 0 ? '' : `, and ${others.length} more`;
  return `${changeInWords(first, environment)}${more}`;
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
