import styles from './difference-table.module.css';
import { type Row, rowsOf, valueInWords } from './differences.ts';
import { Hidden } from './hidden.tsx';
import { Untrusted } from './untrusted.tsx';

/** What differs between two documents, each row with the whole path to it. */
export function DifferenceTable({
  before,
  after,
  place,
}: {
  before: unknown;
  after: unknown;
  place: string;
}) {
  const rows = rowsOf(before, after);
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
