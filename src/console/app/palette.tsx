import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { Autocomplete, useFilter } from 'react-aria-components/Autocomplete';
import { Input } from 'react-aria-components/Input';
import { Label } from 'react-aria-components/Label';
import { Menu, MenuItem } from 'react-aria-components/Menu';
import { SearchField } from 'react-aria-components/SearchField';
import { api } from '../api/api.ts';
import { environments, ownRequests, waitingForMe } from '../api/queries.ts';
import { Dialog } from '../parts/dialog.tsx';
import { requestInWords } from '../parts/request-words.ts';
import { safeText } from '../parts/unsafe-text.ts';
import styles from './palette.module.css';
import { PLACES } from './places.ts';

/** The key of a flag, whole. */
const FLAG_KEY = /^[a-z0-9][a-z0-9._-]{0,99}$/;
/** The beginning of the id of a request. */
const ID = /^[0-9a-f-]{6,36}$/;

interface Hit {
  id: string;
  label: string;
  about: string;
  go: () => Promise<void>;
}

/** Search from the keyboard: pages, flags, and requests that wait. */
export function Palette({ onClose }: { onClose: () => void }) {
  const navigate = useNavigate();
  const [text, setText] = useState('');
  const { contains } = useFilter({ sensitivity: 'base' });
  const queries = useQueryClient();
  const [environment] = useQuery(environments).data ?? [];
  const flags = useQuery({
    queryKey: ['flags', 'keys', environment],
    queryFn: ({ signal }) =>
      api('listFlags', { query: { environment: environment ?? '', limit: 200 }, signal }),
    enabled: environment !== undefined,
    staleTime: 60_000,
  });
  const ids = useQuery({
    queryKey: ['requests', 'id', text],
    queryFn: ({ signal }) => api('listRequests', { query: { id: text, limit: 5 }, signal }),
    enabled: ID.test(text),
  });
  const waiting = [waitingForMe, ownRequests].flatMap(
    ({ queryKey }) => queries.getQueryData(queryKey)?.items.map(({ request }) => request) ?? [],
  );
  const keys = (flags.data?.items ?? []).map(({ key }) => key);
  const hits: Hit[] = [
    ...PLACES.map(({ to, label, about }) => ({ id: to, label, about, go: () => navigate({ to }) })),
    ...[...new Map([...waiting, ...(ids.data?.items ?? [])].map((each) => [each.id, each])).values()].map(
      (request) => ({
        id: request.id,
        label: safeText(requestInWords(request)),
        about: `request ${request.id}`,
        go: () => navigate({ to: '/requests/$id', params: { id: request.id } }),
      }),
    ),
    // A key that is typed whole is a flag, also beyond those that were read.
    ...[...new Set([...keys, ...(FLAG_KEY.test(text) ? [text] : [])])].map((key) => ({
      id: `flag ${key}`,
      label: key,
      about: 'flag',
      go: () => navigate({ to: '/flags/$key', params: { key } }),
    })),
  ];
  const shown = hits.filter(({ label, about }) => contains(`${label} ${about}`, text)).slice(0, 30);
  return (
    <Dialog title="Search" onClose={onClose}>
      <Autocomplete inputValue={text} onInputChange={setText}>
        <SearchField className={styles.field ?? ''} autoFocus>
          <Label>Flag, request or page</Label>
          <Input className={styles.input ?? ''} />
        </SearchField>
        <Menu
          aria-label="Found"
          className={styles.list ?? ''}
          items={shown}
          renderEmptyState={() => <p>Nothing is called so. The whole key of a flag opens it.</p>}
          onAction={(id) => {
            onClose();
            hits
              .find((hit) => hit.id === id)
              ?.go()
              .catch(() => undefined);
          }}
        >
          {({ id, label, about }: Hit) => (
            <MenuItem id={id} textValue={label} className={styles.item ?? ''}>
              <span>{label}</span> <span className={styles.about}>{about}</span>
            </MenuItem>
          )}
        </Menu>
      </Autocomplete>
    </Dialog>
  );
}
