import type { AnswerOf } from '../../../routes.ts';
import { whoSees } from '../../parts/change-words.ts';
import { FlagStateMark } from '../../parts/flag-state.tsx';
import { Panel } from '../../parts/panel.tsx';
import { Untrusted } from '../../parts/untrusted.tsx';
import styles from './flag.module.css';
import { compareStates, type PartOfStates } from './state-differences.ts';

/** Where a flag stands in each environment, and in what they differ. */
export function StatesPanel({
  flag,
  environments,
}: {
  flag: AnswerOf<'getFlag'>;
  environments: readonly string[];
}) {
  const parts = compareStates(environments.map((each) => flag.states[each] ?? null));
  return (
    <Panel title="Where it stands">
      <ul className={styles.states}>
        {environments.map((environment) => {
          const state = flag.states[environment];
          return (
            <li key={environment}>
              <strong>{environment}</strong> <FlagStateMark state={state} />
              {state?.enabled === true && (
                <p className={styles.calm}>
                  For <Untrusted text={whoSees(state)} />
                </p>
              )}
            </li>
          );
        })}
      </ul>
      {environments.length > 1 && <Differences parts={parts} environments={environments} />}
    </Panel>
  );
}

function Differences({
  parts,
  environments,
}: {
  parts: readonly PartOfStates[];
  environments: readonly string[];
}) {
  const differing = parts.filter(({ isSame }) => !isSame);
  const same = parts.filter(({ isSame }) => isSame).map(({ name }) => name);
  if (differing.length === 0) return <p className={styles.calm}>It is the same in every environment.</p>;
  return (
    <>
      <table className={styles.table}>
        <caption>Where the environments differ</caption>
        <thead>
          <tr>
            <td />
            {environments.map((each) => (
              <th key={each} scope="col">
                {each}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {differing.map(({ name, words }) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              {environments.map((each, place) => (
                <td key={each} data-label={each}>
                  <Untrusted text={words[place] ?? ''} />
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {same.length > 0 && <p className={styles.calm}>The same everywhere: {same.join(', ')}.</p>}
    </>
  );
}
