import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import { environments } from '../../api/queries.ts';
import { Button, buttonClass } from '../../parts/button.tsx';
import { Choice, TextField } from '../../parts/fields.tsx';
import styles from './access.module.css';
import { type AccessSearch, CAPABILITIES, KINDS } from './search.ts';

/** The days without a use that can be asked for. */
const DAYS = [7, 30, 90, 365] as const;

/** What the list is limited to. It stands in the address. */
export function Filters({ search }: { search: AccessSearch }) {
  const navigate = useNavigate({ from: '/access' });
  const known = useQuery(environments);
  const change = (part: AccessSearch) => {
    navigate({ search: (now) => ({ ...now, ...part }), replace: true, resetScroll: false }).catch(
      () => undefined,
    );
  };
  const orAll = (words: readonly string[]) =>
    [['', 'all'], ...words.map((each) => [each, each])] as [string, string][];
  const none = (value: string) => (value === '' ? undefined : value);
  return (
    <form
      // The fields keep what is typed until it is sent; another address has other fields.
      key={JSON.stringify([search.principal, search.namespace, search.by])}
      className={styles.filters}
      onSubmit={(event) => {
        event.preventDefault();
        const form = new FormData(event.currentTarget);
        const text = (name: string) => none(String(form.get(name) ?? '').trim());
        change({ principal: text('principal'), namespace: text('namespace'), by: text('by') });
      }}
    >
      <TextField
        label="Who"
        name="principal"
        type="search"
        initial={search.principal ?? ''}
        placeholder="a person, workload or agent"
      />
      <TextField label="Namespace" name="namespace" type="search" initial={search.namespace ?? ''} />
      <TextField label="Group, claim or rule" name="by" type="search" initial={search.by ?? ''} />
      <Choice
        label="Environment"
        value={search.environment ?? ''}
        options={orAll(known.data ?? [])}
        onChange={(value) => change({ environment: none(value) })}
      />
      <Choice
        label="May"
        value={search.capability ?? ''}
        options={orAll(CAPABILITIES)}
        onChange={(value) => change({ capability: CAPABILITIES.find((each) => each === value) })}
      />
      <Choice
        label="Kind"
        value={search.kind ?? ''}
        options={orAll(KINDS)}
        onChange={(value) => change({ kind: KINDS.find((each) => each === value) })}
      />
      <Choice
        label="Unused for"
        value={search.unused === undefined ? '' : String(search.unused)}
        options={[
          ['', 'used or not'],
          ...[...new Set([...DAYS, ...(search.unused === undefined ? [] : [search.unused])])].map(
            (days) => [String(days), `${days} days`] as [string, string],
          ),
        ]}
        onChange={(value) => change({ unused: value === '' ? undefined : Number(value) })}
      />
      <div className={styles.buttons}>
        <Button type="submit">Apply</Button>
        <Link
          to="/access"
          search={{ view: search.view }}
          className={buttonClass('quiet')}
          resetScroll={false}
        >
          Clear
        </Link>
      </div>
    </form>
  );
}
