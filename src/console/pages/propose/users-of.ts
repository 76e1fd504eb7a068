import { useQueries } from '@tanstack/react-query';
import { api } from '../../api/api.ts';
import type { TypedProposal, UsersOf } from './proposal.ts';

/** The users who see the flags of a proposal by exception, for the audiences that it sets. */
export function useUsersOf({ environment, changes }: TypedProposal): { now: UsersOf; isPending: boolean } {
  const created = changes.filter(({ action }) => action === 'create').map(({ flag }) => flag);
  const keys = changes
    .filter(
      ({ action, audience, flag }) =>
        action === 'set_audience' && audience === 'some' && flag !== '' && !created.includes(flag),
    )
    .map(({ flag }) => flag);
  return useQueries({
    queries: [...new Set(keys)].map((key) => ({
      queryKey: ['flags', 'one', key],
      queryFn: ({ signal }: { signal: AbortSignal }) => api('getFlag', { params: { key }, signal }),
      retry: false,
    })),
    combine: (answers) => ({
      now: new Map<string, readonly unknown[]>([
        ...created.map((flag) => [flag, []] as const),
        ...answers.flatMap(({ data }) => {
          if (data === undefined) return [];
          const audience = data.states[environment]?.audience;
          return [[data.key, audience?.kind === 'some' ? audience.users : []] as const];
        }),
      ]),
      isPending: answers.some(({ isPending }) => isPending),
    }),
  });
}
