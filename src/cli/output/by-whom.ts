import type { RequestView } from '../../requests/view.ts';

/** Who proposed, and for an agent in whose name: that person can't approve it. */
export function byWhom({ id, kind, person }: RequestView['proposer']): string {
  return kind === 'agent' && person !== null ? `${id} for ${person}` : id;
}
