import type { RequestView } from '../../requests/view.ts';

/** The proposer, and for an agent its sponsor, who cannot approve the request. */
export function byWhom({ id, kind, person }: RequestView['proposer']): string {
  return kind === 'agent' && person !== null ? `${id} for ${person}` : id;
}
