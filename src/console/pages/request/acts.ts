import type { RequestView } from '../../../requests/view.ts';
import { isOpen } from '../../parts/request-words.ts';

/** What somebody can do with a request. It stands in the address, so that a sign-in returns to it. */
export const ACTS = ['approve', 'reject', 'edit', 'rebase', 'schedule', 'apply', 'withdraw'] as const;
export type Act = (typeof ACTS)[number];

/**
 * Why the broker would refuse an act to a person, as far as the request tells; the others are left to the policy. Said before
 * somebody presses a button, not after.
 *
 * @param couldApprove whether the broker says that the person's approval would count; null if that is not known
 */
export function refusalsOf(
  request: RequestView,
  person: string | null,
  couldApprove: boolean | null,
): Partial<Record<Act, string>> {
  if (!isOpen(request)) return {};
  const isAuthor = isAuthorOf(request, person);
  const has = (code: string) => request.gates.some((gate) => gate.code === code);
  const already = request.approvals.some((vote) => vote.person === person && vote.counts);
  // Approving is how somebody takes back that changes are needed, also where no approval is missing.
  const asksForChanges = request.changes_requested.some((demand) => demand.person === person);
  return {
    ...(isAuthor
      ? { approve: 'You wrote a part of this, so another person has to approve it.' }
      : asksForChanges
        ? {}
        : already
          ? { approve: 'Your approval counts already.' }
          : has('approval_required')
            ? couldApprove === false
              ? { approve: 'None of the missing approvals is one that you can give: your roles are others.' }
              : {}
            : { approve: 'No more approvals are asked for.' }),
    ...(isAuthor
      ? {}
      : {
          edit: 'Only its authors may edit it.',
          rebase: 'Only its authors may rebase it.',
          schedule: 'Only its authors may schedule it.',
          withdraw: 'Only its authors may withdraw it.',
        }),
  };
}

/** Whether the person wrote a part of the request. */
export function isAuthorOf({ authors, proposer }: RequestView, person: string | null): boolean {
  return person !== null && (authors.includes(person) || proposer.person === person);
}
