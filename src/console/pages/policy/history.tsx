import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import type { ActivationView } from '../../../activation/history.ts';
import { api } from '../../api/api.ts';
import { ColumnHeads } from '../../parts/column-heads.tsx';
import { Empty } from '../../parts/empty.tsx';
import { FaultView } from '../../parts/fault.tsx';
import { Moment } from '../../parts/moment.tsx';
import { Panel } from '../../parts/panel.tsx';
import { RequestList, useListKeys } from '../../parts/request-list.tsx';
import { shortDigest } from '../../parts/request-words.ts';
import { Skeleton } from '../../parts/skeleton.tsx';
import { Untrusted } from '../../parts/untrusted.tsx';
import styles from './policy.module.css';
import { activationList, storedBundles } from './queries.ts';

/** Which policies were active, who made them so, and what is stored or proposed. */
export function History() {
  useListKeys();
  const activations = useQuery(activationList);
  const bundles = useQuery(storedBundles);
  const requests = useQuery({
    queryKey: ['requests', 'policy.activate'],
    queryFn: ({ signal }) => api('listRequests', { query: { kind: 'policy.activate', limit: 20 }, signal }),
    retry: false,
  });
  return (
    <div className={styles.parts}>
      <Panel title="Requests to activate a policy">
        {requests.isPending && <Skeleton />}
        {requests.error !== null && <FaultView fault={requests.error} />}
        {requests.data?.items.length === 0 && (
          <Empty title="Nobody has proposed another policy.">
            <p>
              <code>countersign policy propose</code> stores a bundle, runs its cases and the backtest, and
              proposes it. What would change stands in the request.
            </p>
          </Empty>
        )}
        {requests.data !== undefined && requests.data.items.length > 0 && (
          <RequestList label="Requests to activate a policy" requests={requests.data.items} />
        )}
      </Panel>
      <Panel title="Activations, newest first">
        {activations.isPending && <Skeleton />}
        {activations.error !== null && <FaultView fault={activations.error} />}
        {activations.data !== undefined && <Activations items={activations.data.items} />}
      </Panel>
      <Panel title="Stored bundles, newest first">
        {bundles.isPending && <Skeleton />}
        {bundles.error !== null && <FaultView fault={bundles.error} />}
        {bundles.data !== undefined && (
          <ul className={styles.lines}>
            {bundles.data.items.map(({ policy_hash, archive_digest, stored_ms, revision }) => (
              <li key={archive_digest}>
                <code title={policy_hash}>{shortDigest(policy_hash)}</code> <Untrusted text={revision} />,
                stored <Moment ms={stored_ms} />{' '}
                <a
                  href={`/v1/policy/bundles/${policy_hash}`}
                  aria-label={`Download the bundle ${shortDigest(policy_hash)}`}
                >
                  Download
                </a>
              </li>
            ))}
          </ul>
        )}
      </Panel>
    </div>
  );
}

function Activations({ items }: { items: readonly ActivationView[] }) {
  return (
    <div className={styles.table}>
      <table>
        <ColumnHeads names={['Policy', 'Stage', 'When', 'Proposed by', 'Approved by', 'Look at']} />
        <tbody>
          {items.map((item, place) => {
            const before = items.slice(place + 1).find(({ stage }) => stage === item.stage);
            return (
              <tr key={item.number}>
                <th scope="row">
                  <code title={item.policy_hash}>{shortDigest(item.policy_hash)}</code>{' '}
                  <Untrusted text={item.revision} />
                </th>
                <td>{item.stage ?? 'all'}</td>
                <td>
                  <Moment ms={item.activated_ms} as="full" />
                </td>
                <td>
                  {item.change === null ? (
                    'nobody: first start, or an operator'
                  ) : (
                    <Untrusted text={item.change.proposed_by} />
                  )}
                </td>
                <td>
                  <Untrusted text={item.change?.approved_by.join(', ') ?? ''} />
                </td>
                <td className={styles.links}>
                  {before !== undefined && (
                    <Link
                      to="/policy"
                      search={{ tab: 'compare', before: before.policy_hash, after: item.policy_hash }}
                    >
                      what changed
                    </Link>
                  )}
                  {item.request_id !== null && (
                    <Link to="/requests/$id" params={{ id: item.request_id }}>
                      request
                    </Link>
                  )}
                  {item.decision_id !== null && (
                    <Link to="/audit/$id" params={{ id: item.decision_id }}>
                      decision
                    </Link>
                  )}
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
