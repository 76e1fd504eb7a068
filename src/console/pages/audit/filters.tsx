import { useQuery } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { type FormEvent, useState } from 'react';
import { environments } from '../../api/queries.ts';
import { Button } from '../../parts/button.tsx';
import { Choice, TextField } from '../../parts/fields.tsx';
import { OPERATION_WORDS } from './decision-words.ts';
import styles from './filters.module.css';
import { type AuditSearch, auditSearch } from './search.ts';

const ANY = ['', 'any'] as const;
const OPERATIONS = Object.entries(OPERATION_WORDS).map(
  ([name, words]) => [name, `${words} (${name})`] as const,
);
const OUTCOMES = [
  ['allow', 'allowed'],
  ['hold', 'held'],
  ['deny', 'denied'],
] as const;

/** The filters of the log. They are sent when the form is: each look at the log is a record of its own. */
export function Filters({ search }: { search: AuditSearch }) {
  const navigate = useNavigate();
  const { data: places = [] } = useQuery(environments);
  const [draft, setDraft] = useState<Record<string, string>>(() => draftOf(search));
  const put = (name: string) => (value: string) => setDraft({ ...draft, [name]: value });
  const send = (event: FormEvent) => {
    event.preventDefault();
    navigate({ to: '/audit', search: auditSearch({ ...draft, ...momentsOf(draft) }) }).catch(() => undefined);
  };
  const known = [...new Set([...places, ...(search.environment === undefined ? [] : [search.environment])])];
  return (
    <search aria-label="Decisions">
      <form className={styles.filters} onSubmit={send}>
        <TextField label="Flag" value={draft.flag ?? ''} onChange={put('flag')} />
        <TextField label="Person or pipeline" value={draft.principal ?? ''} onChange={put('principal')} />
        <Choice
          label="Operation"
          value={draft.operation ?? ''}
          options={[ANY, ...OPERATIONS]}
          onChange={put('operation')}
        />
        <Choice
          label="Environment"
          value={draft.environment ?? ''}
          options={[ANY, ...known.map((name) => [name, name] as const)]}
          onChange={put('environment')}
        />
        <Choice
          label="Outcome"
          value={draft.outcome ?? ''}
          options={[ANY, ...OUTCOMES]}
          onChange={put('outcome')}
        />
        <TextField label="Not before" type="datetime-local" value={draft.from ?? ''} onChange={put('from')} />
        <TextField label="Before" type="datetime-local" value={draft.to ?? ''} onChange={put('to')} />
        <div className={styles.acts}>
          <Button type="submit" kind="primary">
            Show decisions
          </Button>
          {Object.keys(search).length > 0 && (
            <Button
              kind="quiet"
              onPress={() => {
                setDraft({});
                navigate({ to: '/audit', search: {} }).catch(() => undefined);
              }}
            >
              Clear
            </Button>
          )}
        </div>
      </form>
    </search>
  );
}

/** What the fields show of an address. */
function draftOf({ from, to, cursor: _, days: __, ...rest }: AuditSearch): Record<string, string> {
  return {
    ...(rest as Record<string, string>),
    ...(from === undefined ? {} : { from: inZone(from) }),
    ...(to === undefined ? {} : { to: inZone(to) }),
  };
}

/** A moment as a field for local time takes it. */
function inZone(iso: string): string {
  const at = new Date(iso);
  const shifted = new Date(at.getTime() - at.getTimezoneOffset() * 60_000);
  return shifted.toISOString().slice(0, 16);
}

/** The moments of the fields, as addresses keep them for readers in other zones. */
function momentsOf({ from = '', to = '' }: Record<string, string>): { from?: string; to?: string } {
  return {
    from: from === '' ? '' : new Date(from).toISOString(),
    to: to === '' ? '' : new Date(to).toISOString(),
  };
}
