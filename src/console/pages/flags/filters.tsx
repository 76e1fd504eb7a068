import { Choice } from '../../parts/fields.tsx';
import { TypedFilter } from '../../parts/typed-filter.tsx';
import styles from './flags.module.css';
import type { InventoryRow } from './inventory.ts';
import { type FlagsSearch, KINDS, TIERS } from './search.ts';

const orNone = (value: string) => (value === '' ? undefined : value);
const withAll = <Word extends string>(words: readonly Word[]) =>
  [['', 'all'], ...words.map((each) => [each, each] as const)] as const;

/** What the inventory is limited to. Each filter is in the address. */
export function Filters({
  search,
  environments: all,
  rows,
  onChange,
}: {
  search: FlagsSearch;
  environments: readonly string[];
  /** What is shown: its namespaces and owners are offered. */
  rows: readonly InventoryRow[];
  onChange: (part: FlagsSearch) => void;
}) {
  return (
    <search className={styles.filters} aria-label="Flags">
      <TypedFilter
        label="Search"
        placeholder="key, owner or purpose"
        value={search.q ?? ''}
        isPart
        onChange={(q) => onChange({ q: orNone(q) })}
      />
      <Choice
        label="Environment"
        value={search.environment ?? ''}
        options={withAll(all)}
        onChange={(value) =>
          onChange(value === '' ? { environment: undefined, enabled: undefined } : { environment: value })
        }
      />
      {search.environment !== undefined && (
        <Truth
          label="Switched"
          value={search.enabled}
          words={['on', 'off']}
          onChange={(enabled) => onChange({ enabled })}
        />
      )}
      <Choice
        label="Tier"
        value={search.tier ?? ''}
        options={withAll(TIERS)}
        onChange={(value) => onChange({ tier: value === '' ? undefined : value })}
      />
      <Choice
        label="Kind"
        value={search.kind ?? ''}
        options={withAll(KINDS)}
        onChange={(value) => onChange({ kind: value === '' ? undefined : value })}
      />
      <TypedFilter
        label="Whole owner"
        value={search.owner ?? ''}
        list={namesOf(rows, 'owner')}
        onChange={(owner) => onChange({ owner: orNone(owner) })}
      />
      <TypedFilter
        label="Whole namespace"
        value={search.namespace ?? ''}
        list={namesOf(rows, 'namespace')}
        onChange={(namespace) => onChange({ namespace: orNone(namespace) })}
      />
      <Choice
        label="Expires"
        value={search.expiring === undefined ? '' : String(search.expiring)}
        options={[
          ['', 'whenever'],
          ...[...new Set([7, 30, 90, search.expiring ?? 7])].map(
            (days) => [String(days), `within ${days} days`] as const,
          ),
        ]}
        onChange={(value) => onChange({ expiring: value === '' ? undefined : Number(value) })}
      />
      <Truth
        label="Retired"
        value={search.retired}
        words={['yes', 'no']}
        onChange={(retired) => onChange({ retired })}
      />
    </search>
  );
}

function namesOf(rows: readonly InventoryRow[], member: 'owner' | 'namespace'): string[] {
  return [...new Set(rows.map(({ flag }) => flag[member]))].sort();
}

function Truth({
  label,
  value,
  words: [yes, no],
  onChange,
}: {
  label: string;
  value: boolean | undefined;
  words: readonly [string, string];
  onChange: (value: boolean | undefined) => void;
}) {
  return (
    <Choice
      label={label}
      value={value === undefined ? '' : String(value)}
      options={[
        ['', 'all'],
        ['true', yes],
        ['false', no],
      ]}
      onChange={(next) => onChange(next === '' ? undefined : next === 'true')}
    />
  );
}
