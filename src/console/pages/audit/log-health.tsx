import { useQuery } from '@tanstack/react-query';
import type { LogView } from '../../../audit/log-routes.ts';
import { api } from '../../api/api.ts';
import { REFRESH_MS } from '../../api/queries.ts';
import { FactList } from '../../parts/fact-list.tsx';
import { FaultView } from '../../parts/fault.tsx';
import { Moment } from '../../parts/moment.tsx';
import { Panel } from '../../parts/panel.tsx';
import { Skeleton } from '../../parts/skeleton.tsx';
import { Untrusted } from '../../parts/untrusted.tsx';
import styles from './audit.module.css';

const count = new Intl.NumberFormat('en-GB');

/** The log itself: how large it is, what is signed and cosigned, and by which key. */
export function LogHealth() {
  const { data, error, isPending } = useQuery({
    queryKey: ['log'],
    queryFn: ({ signal }) => api('getLog', { signal }),
    refetchInterval: REFRESH_MS,
  });
  return (
    <Panel title="Health of the log" aside={<a href="/log/checkpoint">Checkpoint</a>}>
      {error !== null && <FaultView fault={error} />}
      {isPending && <Skeleton />}
      {data !== undefined && (
        <>
          <Warnings log={data} />
          <FactList
            facts={[
              ['Signed', `${count.format(data.size)} records, by the newest checkpoint`],
              ['Name', <Untrusted key="name" text={data.origin} />],
              ['Root', <code key="root">{data.root}</code>],
              ['Key', <code key="key">{data.key}</code>],
              data.former_keys.length === 0
                ? null
                : ['Former keys that sign, too', <code key="former">{data.former_keys.join(' ')}</code>],
              ['Cosigned', <Cosigned key="cosigned" log={data} />],
            ]}
          />
          {data.cosigned !== undefined && <Witnesses cosigned={data.cosigned} />}
          <p className={styles.note}>
            To verify all of it without trusting this page: <code>countersign verify --key log.key</code>,
            with the key that you were given when the log began, not with this one.
          </p>
        </>
      )}
    </Panel>
  );
}

function Cosigned({ log: { cosigned } }: { log: LogView }) {
  if (cosigned === undefined) return 'No witness is configured, so nobody else has seen this log.';
  if (cosigned.size === null || cosigned.at_ms === null) return 'Nothing yet.';
  return (
    <>
      {count.format(cosigned.size)} records, by at least {cosigned.quorum}, <Moment ms={cosigned.at_ms} />
    </>
  );
}

/** What an auditor must not overlook. */
function Warnings({ log: { cosigned, size, former_keys } }: { log: LogView }) {
  const faulty = cosigned?.witnesses.filter(({ fault }) => fault !== null) ?? [];
  const behind = cosigned === undefined ? 0 : size - (cosigned.size ?? 0);
  const warnings = [
    ...(faulty.length === 0
      ? []
      : [`${faulty.map(({ name }) => name).join(', ')} did not cosign what it was sent last.`]),
    ...(behind > 0 ? [`${count.format(behind)} of the newest records are not cosigned yet.`] : []),
    ...(former_keys.length > 0 ? ['The key of the log was changed lately: tell those who verify it.'] : []),
  ];
  if (warnings.length === 0) return null;
  return (
    <ul className={styles.list}>
      {warnings.map((warning) => (
        <li key={warning} className={styles.warning}>
          <Untrusted text={warning} />
        </li>
      ))}
    </ul>
  );
}

function Witnesses({ cosigned: { witnesses } }: { cosigned: NonNullable<LogView['cosigned']> }) {
  return (
    <div className={styles.table}>
      <table>
        <thead>
          <tr>
            <th scope="col">Witness</th>
            <th scope="col">Has cosigned</th>
            <th scope="col">When</th>
            <th scope="col">Fault</th>
          </tr>
        </thead>
        <tbody>
          {witnesses.map(({ name, size, at_ms, fault, fault_status }) => (
            <tr key={name}>
              <th scope="row">
                <Untrusted text={name} />
              </th>
              <td>{size === null ? 'nothing yet' : count.format(size)}</td>
              <td>{at_ms === null ? 'never' : <Moment ms={at_ms} />}</td>
              <td>
                {fault === null ? 'none' : `${fault}${fault_status === null ? '' : ` (${fault_status})`}`}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
