import { Link } from '@tanstack/react-router';
import { useState } from 'react';
import type { AnswerOf } from '../../../routes.ts';
import { Button } from '../../parts/button.tsx';
import { DifferenceTable } from '../../parts/difference-table.tsx';
import { FlagStateMark } from '../../parts/flag-state.tsx';
import { Moment } from '../../parts/moment.tsx';
import styles from './flag.module.css';

/** The versions of a flag in one environment, of which any two are compared. */
export function History({
  flag,
  environment,
  versions,
  onMore,
}: {
  flag: string;
  environment: string;
  versions: readonly AnswerOf<'listFlagVersions'>[];
  onMore: (() => void) | null;
}) {
  const [before, setBefore] = useState(versions[1]?.version ?? 0);
  const [after, setAfter] = useState(versions[0]?.version ?? 0);
  if (versions.length === 0) return <p>It never had a state in {environment}.</p>;
  const stateOf = (number: number) => versions.find(({ version }) => version === number)?.state ?? null;
  return (
    <>
      <ol className={styles.versions}>
        {versions.map(({ version, at_ms, request_id, decision_id, state }) => (
          <li key={version}>
            <strong>Version {version}</strong> <FlagStateMark state={state} />
            <span className={styles.calm}>
              <Moment ms={at_ms} />,{' '}
              <Link to="/requests/$id" params={{ id: request_id }}>
                request
              </Link>
              ,{' '}
              <Link to="/audit/$id" params={{ id: decision_id }}>
                decision
              </Link>
            </span>
          </li>
        ))}
      </ol>
      {onMore !== null && (
        <div>
          <Button onPress={onMore}>Older versions</Button>
        </div>
      )}
      {versions.length > 1 && (
        <fieldset className={styles.compare}>
          <legend>Compare</legend>
          <VersionChoice label="Before" value={before} versions={versions} onChange={setBefore} />
          <VersionChoice label="After" value={after} versions={versions} onChange={setAfter} />
          <DifferenceTable
            before={stateOf(before)}
            after={stateOf(after)}
            place={`${flag} › ${environment}`}
          />
        </fieldset>
      )}
    </>
  );
}

function VersionChoice({
  label,
  value,
  versions,
  onChange,
}: {
  label: string;
  value: number;
  versions: readonly { version: number }[];
  onChange: (version: number) => void;
}) {
  return (
    <label className={styles.version}>
      {label}{' '}
      <select
        className={styles.select}
        value={value}
        onChange={({ target }) => onChange(Number(target.value))}
      >
        {versions.map(({ version }) => (
          <option key={version} value={version}>
            version {version}
          </option>
        ))}
      </select>
    </label>
  );
}
