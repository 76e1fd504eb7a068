import { useNavigate } from '@tanstack/react-router';
import type { InputChange } from '../../../flags/change-facts.ts';
import type { RequestView } from '../../../requests/view.ts';
import { changeInWords, folded } from '../../parts/change-words.ts';
import { Hidden } from '../../parts/hidden.tsx';
import { Panel } from '../../parts/panel.tsx';
import { Untrusted } from '../../parts/untrusted.tsx';
import styles from './change.module.css';
import { type Row, rowsOf, valueInWords } from './differences.ts';
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
          {view === 'table' && <DifferenceTable change={change} place={placeOf(change, environment)} />}
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

function DifferenceTable({ change, place }: { change: InputChange; place: string }) {
  const rows = rowsOf(change.before, change.after);
  const moved = rows.filter(({ isSame }) => !isSame);
  const same = rows.filter(({ isSame }) => isSame);
  return (
    <>
      <table className={styles.table}>
        <caption>
          <Hidden>
            <Untrusted text={place} />
          </Hidden>
        </caption>
        <thead>
          <tr>
            <th scope="col">Member</th>
            <th scope="col">Before</th>
            <th scope="col">After</th>
          </tr>
        </thead>
        <tbody>
          {moved.map((row) => (
            <DifferenceRow key={row.path} row={row} place={place} />
          ))}
        </tbody>
      </table>
      {same.length > 0 && (
        <details className={styles.same}>
          <summary>{same.length} unchanged</summary>
          <table className={styles.table}>
            <thead>
              <tr>
                <th scope="col">Member</th>
                <th scope="col">Before and after</th>
              </tr>
            </thead>
            <tbody>
              {same.map(({ path, after }) => (
                <tr key={path}>
                  <th scope="row">
                    <Untrusted text={`${place} › ${path}`} />
                  </th>
                  <td>
                    <Untrusted text={valueInWords(path, after)} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </details>
      )}
    </>
  );
}

function DifferenceRow({ row: { path, before, after, names }, place }: { row: Row; place: string }) {
  return (
    <tr>
      <th scope="row">
        <Untrusted text={`${place} › ${path}`} />
      </th>
      {names === null ? (
        <>
          <td data-label="Before">
            <Removed text={valueInWords(path, before)} />
          </td>
          <td data-label="After">
            <Added text={valueInWords(path, after)} />
          </td>
        </>
      ) : (
        <td colSpan={2}>
          {names.removed.map((name) => (
            <Removed key={name} text={name} />
          ))}
          {names.added.map((name) => (
            <Added key={name} text={name} />
          ))}
          {names.kept > 0 && <span className={styles.kept}>{names.kept} unchanged</span>}
        </td>
      )}
    </tr>
  );
}

function Removed({ text }: { text: string }) {
  return (
    <del className={styles.removed}>
      <span aria-hidden="true">−</span>
      <Hidden>removed: </Hidden> <Untrusted text={text} />
    </del>
  );
}

function Added({ text }: { text: string }) {
  return (
    <ins className={styles.added}>
      <span aria-hidden="true">+</span>
      <Hidden>added: </Hidden> <Untrusted text={text} />
    </ins>
  );
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
