import type { DataFolders, Rule } from '../../../policy/data-schema.ts';
import { ColumnHeads } from '../../parts/column-heads.tsx';
import { JsonDocument } from '../../parts/document.tsx';
import { Panel } from '../../parts/panel.tsx';
import { Untrusted } from '../../parts/untrusted.tsx';
import styles from './policy.module.css';

/** What the tables show; the rest of the data stands below them as it is. */
const SHOWN = [
  'tiers',
  'limits',
  'token_lifetimes',
  'windows',
  'blackouts',
  'holidays',
  'role_bindings',
  'trust_rules',
];

/** What a change has to have, by tier, kind of environment and movement, and the limits. */
export function Rules({ config }: { config: DataFolders }) {
  const { tiers, limits, token_lifetimes, request_kinds } = config;
  const others = Object.entries(config).filter(([name]) => !SHOWN.includes(name));
  return (
    <>
      <Panel title="Tiers: what a change needs">
        {tiers === undefined ? (
          <p>This policy has no tiers in the form that the console knows.</p>
        ) : (
          <div className={styles.table}>
            <table>
              <thead>
                <tr>
                  {['Tier', 'Environment', 'Change', 'Approvals', 'Ticket', 'Window', 'Sign-in'].map(
                    (name) => (
                      <th key={name} scope="col">
                        {name}
                      </th>
                    ),
                  )}
                </tr>
              </thead>
              <tbody>{Object.entries(tiers).flatMap(([tier, rules]) => tierRows(tier, rules))}</tbody>
            </table>
          </div>
        )}
      </Panel>
      {request_kinds !== undefined && (
        <Panel title="Other requests: what they need">
          <div className={styles.table}>
            <table>
              <ColumnHeads names={['Kind', 'Approvals', 'Ticket', 'Window', 'Sign-in']} />
              <tbody>
                {Object.entries(request_kinds).map(([kind, { rule }]) => (
                  <tr key={kind}>
                    <th scope="row">
                      <Untrusted text={kind} />
                    </th>
                    <RuleCells rule={rule} />
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        </Panel>
      )}
      <Panel title="Limits">
        <Numbers of={limits ?? {}} label="Limits" />
        <h3>How long tokens live</h3>
        <Numbers of={flat(token_lifetimes ?? {})} label="Token lifetimes" unit="s" />
      </Panel>
      <Panel title="The rest of the data">
        {others.map(([name, value]) => (
          <JsonDocument key={name} title={<Untrusted text={name} />} value={value} />
        ))}
      </Panel>
    </>
  );
}

function tierRows(tier: string, rules: NonNullable<DataFolders['tiers']>['informational']) {
  return Object.entries(rules).flatMap(([kind, movements]) =>
    (['raise', 'lower'] as const).map((movement) => (
      <tr key={`${tier} ${kind} ${movement}`}>
        <th scope="row">{tier}</th>
        <td>
          <Untrusted text={kind === '*' ? 'any other' : kind} />
        </td>
        <td>{movement === 'raise' ? 'more exposure' : 'less exposure'}</td>
        <RuleCells rule={movements[movement]} />
      </tr>
    )),
  );
}

function RuleCells({ rule: { approvals, ticket, windows, account_approvers, sign_in } }: { rule: Rule }) {
  const roles = Object.entries(approvals).map(([role, count]) => `${count} × ${role}`);
  const all = [...roles, ...(account_approvers ? ['the account-approver of each organization'] : [])];
  return (
    <>
      <td>
        <Untrusted text={all.length === 0 ? 'nobody' : all.join(', ')} />
      </td>
      <td>{ticket ? 'required' : 'no'}</td>
      <td>
        <Untrusted text={windows.length === 0 ? 'any time' : windows.join(' or ')} />
      </td>
      <td>
        {sign_in === null ? 'any' : `level ${sign_in.level}, at most ${duration(sign_in.max_age_s)} old`}
      </td>
    </>
  );
}

function Numbers({ of, label, unit }: { of: Readonly<Record<string, number>>; label: string; unit?: 's' }) {
  return (
    <div className={`${styles.table} ${styles.narrow}`}>
      <table aria-label={label}>
        <tbody>
          {Object.entries(of).map(([name, value]) => (
            <tr key={name}>
              <th scope="row">
                <Untrusted text={name.replace(/_s$/, '').replaceAll('_', ' ')} />
              </th>
              <td>{unit === 's' || name.endsWith('_s') ? duration(value) : value}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** The numbers of nested members, by the names on the way to them. */
function flat(value: object, path = ''): Record<string, number> {
  return Object.assign(
    {},
    ...Object.entries(value).map(([name, each]) =>
      typeof each === 'number' ? { [`${path}${name}`]: each } : flat(each as object, `${path}${name} › `),
    ),
  ) as Record<string, number>;
}

const UNITS = [
  [86_400, 'day'],
  [3600, 'hour'],
  [60, 'minute'],
  [1, 'second'],
] as const;

/** Seconds, in the largest unit that counts them whole. */
function duration(seconds: number): string {
  const [size, unit] = UNITS.find(([each]) => seconds % each === 0 && seconds >= each) ?? [1, 'second'];
  const count = seconds / size;
  return `${count} ${unit}${count === 1 ? '' : 's'}`;
}
