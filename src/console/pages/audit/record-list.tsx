import { Link } from '@tanstack/react-router';
import type { RecordView } from '../../../audit/view.ts';
import { Moment } from '../../parts/moment.tsx';
import { OutcomeMark } from '../../parts/outcome-mark.tsx';
import { Untrusted } from '../../parts/untrusted.tsx';
import { deedInWords, whoOf } from './decision-words.ts';
import styles from './record-list.module.css';

/** Decisions, one a row: what was asked for, by whom, what the answer was, and why. */
export function RecordList({ label, records }: { label: string; records: readonly RecordView[] }) {
  return (
    <ul className={styles.list} aria-label={label}>
      {records.map((record) => (
        <li key={record.place} className={styles.row}>
          <OutcomeMark effect={record.outcome.effect} />
          <div className={styles.what}>
            <Link to="/audit/$id" params={{ id: record.id }} className={styles.title} data-list-item>
              <Untrusted text={deedInWords(record)} />
            </Link>
            <p className={styles.about}>
              <span>
                <Untrusted text={whoOf(record)} />
              </span>
              {record.outcome.effect !== 'allow' && <Reason record={record} />}
              {record.request !== null && record.request.from !== record.request.to && (
                <span>the request became {record.request.to}</span>
              )}
            </p>
          </div>
          <p className={styles.when}>
            <Moment ms={record.at_ms} /> <span className={styles.place}>#{record.place}</span>
          </p>
        </li>
      ))}
    </ul>
  );
}

function Reason({ record: { outcome } }: { record: RecordView }) {
  const [reason] = outcome.reasons;
  return reason === undefined ? null : (
    <span className={styles.reason}>
      <Untrusted text={reason.detail} />
    </span>
  );
}
