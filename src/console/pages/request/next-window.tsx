import { useQuery } from '@tanstack/react-query';
import { api } from '../../api/api.ts';
import { openingInWords } from '../../parts/opening-words.ts';

/** When the policy next lets a request be applied. Nothing is said if that may not be asked. */
export function NextWindow({ id }: { id: string }) {
  const { data } = useQuery({
    queryKey: ['request', id, 'opens'],
    queryFn: ({ signal }) => api('explainPolicy', { body: { request: id }, signal }),
    retry: false,
  });
  if (data === undefined || data.effect === 'deny') return null;
  const opens = data.obligations.map((each) => each.opens).find((each) => each !== null) ?? null;
  if (opens === null) return <p>No change window is in the way now.</p>;
  const ownZone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return <p>The next window opens {openingInWords(opens, data.at_ms, ownZone)}.</p>;
}
