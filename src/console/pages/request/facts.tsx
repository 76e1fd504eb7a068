import type { InputChange } from '../../../flags/change-facts.ts';
import type { RequestView } from '../../../requests/view.ts';
import { changeInWords, folded } from '../../parts/change-words.ts';
import { FactList } from '../../parts/fact-list.tsx';
import { Panel } from '../../parts/panel.tsx';
import { Untrusted } from '../../parts/untrusted.tsx';
import styles from './facts.module.css';

const DIRECTIONS: Readonly<Record<InputChange['facts']['direction'], string>> = {
  on: 'On: somebody sees it who did not before',
  off: 'Off: nobody sees it afterwards',
  widen: 'Wider: more see it than before',
  narrow: 'Narrower: fewer see it than before',
  neutral: 'Neutral: who sees what stays the same',
};

/** What the broker computed about each change. None of it is the word of whoever proposed it. */
export function FactsPanel({ request }: { request: RequestView }) {
  const { changes } = request;
  if (changes.length === 0) return null;
  return (
    <Panel title="Facts">
      {folded(changes).map(({ change: { flag }, steps }, place) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: what changes has no other identity within a digest
        <div key={`${request.digest} ${place}`} className={styles.change}>
          {changes.length > 1 && (
            <h3>
              <Untrusted text={flag.key} />
            </h3>
          )}
          {steps.map((step, number) =>
            steps.length === 1 ? (
              <ChangeFacts key={flag.key} change={step} request={request} />
            ) : (
              // biome-ignore lint/suspicious/noArrayIndexKey: steps are in the order of the request
              <details key={number}>
                <summary>
                  Step {number + 1}: <Untrusted text={changeInWords(step, request.environment)} />
                </summary>
                <ChangeFacts change={step} request={request} />
              </details>
            ),
          )}
        </div>
      ))}
    </Panel>
  );
}

function ChangeFacts({
  change: { flag, facts, action },
  request: { bases, environment },
}: {
  change: InputChange;
  request: RequestView;
}) {
  const base = bases.find(({ of }) => of === `state:${flag.key}@${environment}`)?.version ?? null;
  const gains = [...facts.organizations_added, ...facts.users_added];
  const loses = [...facts.organizations_removed, ...facts.users_removed];
  return (
    <FactList
      facts={[
        ['Direction', DIRECTIONS[facts.direction]],
        [
          'Flag',
          <>
            {flag.tier} {flag.kind} flag of <Untrusted text={flag.owner} />, in {flag.namespace}
          </>,
        ],
        [
          'More for',
          <Names
            key="gains"
            names={gains}
            other={facts.reaches_everybody === true ? 'organizations that are not named, too' : null}
          />,
        ],
        ['Less for', <Names key="loses" names={loses} other={null} />],
        [
          'Can be undone',
          action === 'retire'
            ? 'No: a flag is retired for ever'
            : action === 'create'
              ? 'Yes: the flag can be retired, but its key stays taken'
              : `Yes: by a request that returns to version ${base ?? 'before this one'}`,
        ],
        facts.safe === true
          ? ['Safer', 'Shown: whoever is served something else gets the safe variant']
          : null,
        facts.tier_lowered_from === null
          ? null
          : ['Tier', `Lowered from ${facts.tier_lowered_from} to ${flag.tier}`],
        facts.default_changed ? ['Default', 'What is served when nothing else matches changes'] : null,
        facts.entitlement ? ['Entitlement', 'It is what a contract promises'] : null,
        facts.exception_used ? ['Exceptions', 'Single users see it by a documented exception'] : null,
      ]}
    />
  );
}

/** The first names that are shown; the others are one press away. */
const SHOWN = 20;

function Names({ names, other }: { names: readonly string[]; other: string | null }) {
  if (names.length === 0) return other === null ? 'nobody by name' : other;
  const [first, more] = [names.slice(0, SHOWN), names.slice(SHOWN)];
  return (
    <>
      <Untrusted text={first.join(', ')} />
      {more.length > 0 && (
        <details>
          <summary>and {more.length} more</summary>
          <Untrusted text={more.join(', ')} />
        </details>
      )}
      {other !== null && `, and ${other}`}
    </>
  );
}
