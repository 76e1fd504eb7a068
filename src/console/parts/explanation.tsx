import type { ExplanationView } from '../../explain/view.ts';
import styles from './explanation.module.css';
import { FactList } from './fact-list.tsx';
import { Moment } from './moment.tsx';
import { OutcomeMark } from './outcome-mark.tsx';
import { shortDigest } from './request-words.ts';
import { Untrusted } from './untrusted.tsx';

type Named = ExplanationView['principal'];
type Missing = ExplanationView['obligations'][number];

/** Why the policy answers so, and what would change it. */
export function Explanation({ explanation }: { explanation: ExplanationView }) {
  const { effect, operation, principal, environment, reasons, guardrail, granted_by } = explanation;
  const { obligations, gates, if_all_met, who_could, policy_hash, at_ms } = explanation;
  const shown = new Set(obligations.map(({ gate }) => `${gate.code} ${gate.detail}`));
  const others = gates.filter(({ code, detail }) => effect !== 'deny' && !shown.has(`${code} ${detail}`));
  return (
    <div className={styles.explanation}>
      <p>
        <OutcomeMark effect={effect} /> <code>{operation}</code> by <Untrusted text={nameOf(principal)} />
        {environment === null ? '' : ` in ${environment}`}
        {guardrail === null ? '' : `, by the guardrail ${guardrail}`}
      </p>
      <ul className={styles.list} aria-label="Reasons">
        {reasons.map(({ code, detail }) => (
          <li key={`${code} ${detail}`}>
            <Untrusted text={detail} /> <code>{code}</code>
          </li>
        ))}
      </ul>
      {(obligations.length > 0 || others.length > 0) && (
        <>
          <h3>What is missing</h3>
          <ul className={styles.list}>
            {obligations.map((missing) => (
              <li key={JSON.stringify(missing.obligation)}>
                <MissingPart missing={missing} />
              </li>
            ))}
            {others.map(({ code, detail }) => (
              <li key={`${code} ${detail}`}>
                <Untrusted text={detail} />
              </li>
            ))}
          </ul>
        </>
      )}
      <FactList
        facts={[
          granted_by === null
            ? null
            : [
                'Granted by',
                <Untrusted
                  key="granted"
                  text={
                    granted_by.length === 0
                      ? 'no role binding'
                      : granted_by.map(({ by, key }) => `${by.replace('_', ' ')} ${key}`).join(', ')
                  }
                />,
              ],
          who_could === null || effect !== 'deny'
            ? null
            : ['Who could do it', <Names key="could" names={who_could} />],
          if_all_met === null
            ? null
            : ['If all of it were met', <OutcomeMark key="met" effect={if_all_met.effect} />],
          [
            'Answered by',
            <span key="by">
              policy <code title={policy_hash}>{shortDigest(policy_hash)}</code>, for{' '}
              <Moment ms={at_ms} as="full" />
            </span>,
          ],
        ]}
      />
    </div>
  );
}

function MissingPart({ missing: { gate, who, bindings, opens } }: { missing: Missing }) {
  return (
    <>
      <Untrusted text={gate.detail} />
      {who !== null && (
        <p className={styles.note}>
          Who could: <Names names={who} />
          {bindings !== null && bindings.length > 0 && (
            <>
              , by{' '}
              <Untrusted text={bindings.map(({ by, key }) => `${by.replace('_', ' ')} ${key}`).join(', ')} />
            </>
          )}
        </p>
      )}
      {opens !== null && (
        <p className={styles.note}>
          Opens <Moment ms={opens.opens_ms} as="full" />, which is <Untrusted text={opens.local} /> there
        </p>
      )}
    </>
  );
}

function Names({ names }: { names: readonly Named[] }) {
  return <Untrusted text={names.length === 0 ? 'nobody known' : names.map(nameOf).join(', ')} />;
}

function nameOf({ person, id }: Named): string {
  return person ?? id;
}
