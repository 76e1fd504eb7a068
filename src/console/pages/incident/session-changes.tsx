import { useQuery } from '@tanstack/react-query';
import type { BreakglassView } from '../../../emergency/break-glass.ts';
import { api } from '../../api/api.ts';
import { useSession } from '../../app/session.tsx';
import type { Incident } from './incident-fields.tsx';
import { Changes } from './recent.tsx';

/** What the person changed in a break-glass session, with the way back. */
export function SessionChanges({ session, incident }: { session: BreakglassView; incident: Incident }) {
  const { principal } = useSession();
  const { data } = useQuery({
    queryKey: ['requests', 'session', session.id, principal.id],
    queryFn: ({ signal }) =>
      api('listRequests', {
        query: { kind: 'flag.change', state: ['applied'], proposer: principal.id, limit: 200 },
        signal,
      }),
  });
  const end = session.closed_ms ?? session.expires_ms;
  const changed = (data?.items ?? []).filter(
    ({ created_ms, ticket }) =>
      created_ms >= session.opened_ms && created_ms <= end && ticket === session.incident,
  );
  if (changed.length === 0) return <p>Nothing was changed in it.</p>;
  return <Changes label="Changed in this session" requests={changed} session={null} incident={incident} />;
}
