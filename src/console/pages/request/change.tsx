import { useNavigate } from '@tanstack/react-router';
import type { InputChange } from '../../../flags/change-facts.ts';
import type { RequestView } from '../../../requests/view.ts';
import { changeInWords, folded } from '../../parts/change-words.ts';
import { DifferenceTable } from '../../parts/difference-table.tsx';
import { Hidden } from '../../parts/hidden.tsx';
import { Panel } from '../../parts/panel.tsx';
import { Untrusted } from '../../parts/untrusted.tsx';
import styles from './change.module.css';
import { VIEWS } from './search.ts';

type View = (typeof VIEWS)[number];

const VIEW_WORDS: Readonly<Record<View, string>> = { sentence: 'Sentence', table: 'Table', json: 'JSON' };

/** The change in three ways. All come from what the request stores, so they stay what they were when the flags move on. */
export function ChangePanel({ request, view }: { request: RequestView; view: View }) {
  const navigate = useNavigate({ from: '/requests/$id' });
  const { changes, summary, object, environment } = request;
  return (
    <Panel
      title="What changes"
      aside={
        <fieldset className={styles.views}>
          <legend>
            <Hidden>How to show it</Hidden>
          </legend>
          {VIEWS.map((each) => (
            <label key={each}>
              <input
                type="radio"
                name="view"
                checked={each === view}
                onChange={() => {
                  navigate({
                    search: (search) => ({ ...search, view: each }),
                    replace: true,
                    resetScroll: false,
                  }).catch(() => undefined);
                }}
              />
              {VIEW_WORDS[each]}
            </label>
          ))}
        </fieldset>
      }
    >
      {changes.length === 0 && (
        <>
          <p className={styles.sentence}>
            <Untrusted text={summary ?? 'It changes no flag.'} />
          </p>
          {view !== 'sentence' && <Json value={object} />}
        </>
      )}
      {folded(changes).map(({ change }, place) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: what changes has no other identity within a digest
        <details key={`${request.digest} ${place}`} open className={styles.change}>
          <summary>
            <Untrusted text={changeInWords(change, environment)} />
          </summary>
          {view === 'table' && (
            <DifferenceTable
              before={change.before}
              after={change.after}
              place={placeOf(change, environment)}
            />
          )}
          {view === 'json' && (
            <div className={styles.sides}>
              <div>
                <h3>Before</h3>
                <Json value={change.before} />
              </div>
              <div>
                <h3>After</h3>
                <Json value={change.after} />
              </div>
            </div>
          )}
        </details>
      ))}
    </Panel>
  );
}

function placeOf({ flag, facts }: InputChange, environment: string | null): string {
  return facts.scope === 'definition' || environment === null
    ? `${flag.key} › definition`
    : `${flag.key} › ${environment}`;
}

function Json({ value }: { value: unknown }) {
  return (
    // It scrolls, so it must be reachable with the keyboard.
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls
    <pre className={styles.json} tabIndex={0}>
      <Untrusted text={JSON.stringify(value, null, 2) ?? 'null'} />
    </pre>
  );
}
