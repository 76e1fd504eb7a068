import type { Binding, DataFolders } from '../../../policy/data-schema.ts';
import { ColumnHeads } from '../../parts/column-heads.tsx';
import { JsonDocument } from '../../parts/document.tsx';
import { Panel } from '../../parts/panel.tsx';
import { Untrusted } from '../../parts/untrusted.tsx';
import styles from './policy.module.css';

interface Row extends Binding {
  by: string;
  at: string;
  key: string;
}

/** Who has which role where, and which workloads are believed. */
export function Bindings({
  config: { role_bindings, trust_rules, exclusive_roles = [] },
}: {
  config: DataFolders;
}) {
  const rows = rowsOf(role_bindings);
  const rules = Object.entries(trust_rules ?? {});
  return (
    <>
      <Panel title={`Roles (${rows.length})`}>
        <div className={styles.table}>
          <table>
            <ColumnHeads names={['Whoever has', 'of', 'holds', 'in namespaces', 'in environments']} />
            <tbody>
              {rows.map((row) => (
                <tr key={JSON.stringify(row)}>
                  <th scope="row">
                    {row.by} <Untrusted text={row.key} />
                  </th>
                  <td>
                    <Untrusted text={row.at} />
                  </td>
                  <td>
                    <Untrusted text={row.roles.join(', ')} />
                    {row.organizations !== undefined && (
                      <>
                        {' '}
                        for <Untrusted text={row.organizations.join(', ')} />
                      </>
                    )}
                  </td>
                  <td>
                    <Places names={row.namespaces} />
                  </td>
                  <td>
                    <Places names={row.environments} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
        {exclusive_roles.length > 0 && (
          <p>
            Nobody uses two of these for one request:{' '}
            <Untrusted text={exclusive_roles.map((roles) => roles.join(' and ')).join('; ')} />.
          </p>
        )}
      </Panel>
      <Panel title={`Trust rules for workloads (${rules.length})`}>
        {rules.length === 0 && <p>No workload of a platform is believed, so only people can sign in.</p>}
        {rules.map(([name, rule]) => (
          <JsonDocument key={name} title={<Untrusted text={name} />} value={rule} />
        ))}
      </Panel>
    </>
  );
}

function Places({ names }: { names: readonly string[] }) {
  return names.includes('*') ? 'all' : <Untrusted text={names.join(', ')} />;
}

function rowsOf(bindings: DataFolders['role_bindings']): Row[] {
  const { groups = {}, claims = {}, trust_rules = {}, principals = {} } = bindings ?? {};
  const of = (by: string, at: string, keys: Readonly<Record<string, readonly Binding[]>>): Row[] =>
    Object.entries(keys).flatMap(([key, rows]) => rows.map((row) => ({ ...row, by, at, key })));
  return [
    ...Object.entries(groups).flatMap(([issuer, keys]) => of('group', issuer, keys)),
    ...Object.entries(claims).flatMap(([issuer, names]) =>
      Object.entries(names).flatMap(([claim, keys]) => of(`claim ${claim}`, issuer, keys)),
    ),
    ...of('trust rule', 'workloads', trust_rules),
    ...of('principal', 'this broker', principals),
  ];
}
