import type { AccessDiff, AccessSide, RightView } from '../../../activation/checks/access-view.ts';
import { Untrusted } from '../../parts/untrusted.tsx';
import styles from './policy.module.css';

/** Who gains and loses which operation where. */
export function AccessDifferences({ access }: { access: AccessDiff }) {
  const { gained, lost, trust_rules, persons, notes } = access;
  return (
    <>
      <Side title="Gained" side={gained} />
      <Side title="Lost" side={lost} />
      {trust_rules.length > 0 && (
        <>
          <h3>Trust rules</h3>
          <ul className={styles.bullets}>
            {trust_rules.map(({ rule, change, members }) => (
              <li key={rule}>
                <Untrusted text={rule} /> {change}
                {members.length === 0 ? '' : `: ${members.join(', ')}`}
              </li>
            ))}
          </ul>
        </>
      )}
      {persons.length > 0 && (
        <>
          <h3>Persons</h3>
          <ul className={styles.bullets}>
            {persons.map(({ change, names }) => (
              <li key={names.join(' ')}>
                <Untrusted text={names.join(', ')} /> {change}
              </li>
            ))}
          </ul>
        </>
      )}
      {notes.length > 0 && (
        <>
          <h3>What this cannot tell</h3>
          <ul className={styles.bullets}>
            {notes.map(({ code, detail }) => (
              <li key={code}>
                <Untrusted text={detail} />
              </li>
            ))}
          </ul>
        </>
      )}
    </>
  );
}

function Side({ title, side: { principals, bindings, left_out } }: { title: string; side: AccessSide }) {
  const rows = [
    ...principals.map(({ names, count, rights }) => ({
      who: `${names.join(', ')}${count > names.length ? ` and ${count - names.length} more` : ''}`,
      rights,
    })),
    ...bindings.map(({ by, key, holders, rights }) => ({
      who: `whoever has the ${by.replace('_', ' ')} ${key} (${holders} known)`,
      rights,
    })),
  ];
  return (
    <>
      <h3>{title}</h3>
      {rows.length === 0 && <p>Nothing.</p>}
      <ul className={styles.bullets}>
        {rows.map(({ who, rights }) => (
          <li key={who}>
            <Untrusted text={who} />
            <ul className={styles.bullets}>
              {rights.map((right) => (
                <li key={JSON.stringify(right)}>
                  <Untrusted text={rightInWords(right)} />
                </li>
              ))}
            </ul>
          </li>
        ))}
        {left_out > 0 && (
          <li>
            {left_out} more lines, which <code>countersign policy diff --json</code> has.
          </li>
        )}
      </ul>
    </>
  );
}

function rightInWords({ operation, about, environments, namespaces, except }: RightView): string {
  const of = about.length === 0 ? '' : ` of ${about.join(', ')}`;
  const where = environments.length === 0 ? '' : ` in ${environments.join(', ')}`;
  const within = namespaces.includes('*') ? 'every namespace' : namespaces.join(', ');
  const but = except.length === 0 ? '' : ` but ${except.join(', ')}`;
  return `${operation}${of}${where}${within === '' ? '' : `, in ${within}${but}`}`;
}
