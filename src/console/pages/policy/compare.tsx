import { useMutation, useQuery } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import type { ActivationView } from '../../../activation/history.ts';
import { type Answer, api } from '../../api/api.ts';
import { Button } from '../../parts/button.tsx';
import { ColumnHeads } from '../../parts/column-heads.tsx';
import { Empty } from '../../parts/empty.tsx';
import { FaultView } from '../../parts/fault.tsx';
import { Choice } from '../../parts/fields.tsx';
import { Hidden } from '../../parts/hidden.tsx';
import { Panel } from '../../parts/panel.tsx';
import { shortDigest } from '../../parts/request-words.ts';
import { Skeleton } from '../../parts/skeleton.tsx';
import { safeText } from '../../parts/unsafe-text.ts';
import { Untrusted } from '../../parts/untrusted.tsx';
import { AccessDifferences } from './access-differences.tsx';
import { dataDifferences } from './data-differences.ts';
import styles from './policy.module.css';
import { activationList, storedBundles } from './queries.ts';
import type { PolicySearch } from './search.ts';

/** What differs between two policies: their data, and who may do what. */
export function Compare({ search }: { search: PolicySearch }) {
  const navigate = useNavigate();
  const bundles = useQuery(storedBundles);
  const activations = useQuery(activationList);
  if (bundles.isPending || activations.isPending) return <Skeleton lines={6} />;
  if (bundles.data === undefined || activations.data === undefined)
    return <FaultView fault={bundles.error ?? activations.error} />;
  const hashes = [...new Set(bundles.data.items.map(({ policy_hash }) => policy_hash))];
  const active = activations.data.items[0]?.policy_hash;
  const before = search.before ?? activations.data.items[1]?.policy_hash ?? active ?? '';
  const after = search.after ?? active ?? '';
  const options = [...new Set([...hashes, before, after])].map((hash) => {
    const revision = bundles.data.items.find(({ policy_hash }) => policy_hash === hash)?.revision ?? '';
    const words = `${shortDigest(hash)} ${safeText(revision)}${hash === active ? ', active' : ''}`;
    return [hash, words] as const;
  });
  const choose = (part: Partial<PolicySearch>) => {
    navigate({ to: '/policy', search: { ...search, tab: 'compare', before, after, ...part } }).catch(
      () => undefined,
    );
  };
  return (
    <div className={styles.parts}>
      <div className={styles.form}>
        <Choice label="From" value={before} options={options} onChange={(each) => choose({ before: each })} />
        <Choice label="To" value={after} options={options} onChange={(each) => choose({ after: each })} />
      </div>
      {before === after ? (
        <Empty title="Both are the same policy.">
          <p>Choose another one. Every bundle that was ever stored is still here.</p>
        </Empty>
      ) : (
        <>
          <DataPanel before={before} after={after} />
          <AccessPanel
            key={`${before} ${after}`}
            activation={approvedAs(activations.data.items, { before, after })}
            candidate={before === active ? after : null}
          />
        </>
      )}
    </div>
  );
}

/** The activation by which the one policy followed the other. */
function approvedAs(
  items: readonly ActivationView[],
  { before, after }: { before: string; after: string },
): ActivationView | null {
  return (
    items.find(
      (item, place) =>
        item.policy_hash === after &&
        items.slice(place + 1).find(({ stage }) => stage === item.stage)?.policy_hash === before,
    ) ?? null
  );
}

function useData(policy_hash: string) {
  return useQuery({
    queryKey: ['policy', 'data', 'of', policy_hash],
    queryFn: ({ signal }) => api('getPolicyData', { query: { policy_hash }, signal }),
    staleTime: Number.POSITIVE_INFINITY,
    retry: false,
  });
}

function DataPanel({ before, after }: { before: string; after: string }) {
  const [one, other] = [useData(before), useData(after)];
  const fault = one.error ?? other.error;
  const differences =
    one.data === undefined || other.data === undefined
      ? null
      : dataDifferences(one.data.data.config, other.data.data.config);
  return (
    <Panel title={differences === null ? 'Data' : `Data: ${differences.length} differences`}>
      {fault !== null && <FaultView fault={fault} />}
      {fault === null && differences === null && <Skeleton />}
      {differences?.length === 0 && <p>The data is the same, so what differs is the module: its rules.</p>}
      {differences !== null && differences.length > 0 && (
        <div className={styles.table}>
          <table>
            <ColumnHeads names={['Where', 'Before', 'After']} />
            <tbody>
              {differences.map((difference) => (
                <tr key={JSON.stringify(difference)}>
                  <th scope="row">
                    <Untrusted text={difference.path} />
                  </th>
                  <td>
                    <Side value={difference.before} as="removed" />
                  </td>
                  <td>
                    <Side value={difference.after} as="added" />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Panel>
  );
}

function Side({ value, as }: { value: unknown; as: 'added' | 'removed' }) {
  if (value === undefined) return '(absent)';
  const text = <Untrusted text={typeof value === 'string' ? value : JSON.stringify(value)} />;
  return as === 'added' ? (
    <ins className={styles.added}>
      <Hidden>added: </Hidden>
      {text}
    </ins>
  ) : (
    <del className={styles.removed}>
      <Hidden>removed: </Hidden>
      {text}
    </del>
  );
}

/** Who gains and loses what: as it was approved, or as the broker works it out now against the active policy. */
function AccessPanel({
  activation,
  candidate,
}: {
  activation: ActivationView | null;
  candidate: string | null;
}) {
  const digest = activation?.change?.report ?? null;
  const approved = useQuery({
    queryKey: ['policy', 'report', digest],
    queryFn: ({ signal }) => api('getPolicyReport', { params: { digest: digest ?? '' }, signal }),
    enabled: digest !== null,
    retry: false,
  });
  const check = useMutation({ mutationFn: () => runOf(candidate ?? '') });
  const report = approved.data?.report ?? check.data?.result?.report;
  return (
    <Panel
      title="Access"
      aside={
        digest === null && candidate !== null ? (
          <Button isPending={check.isPending} onPress={() => check.mutate()}>
            Compare who may do what
          </Button>
        ) : null
      }
    >
      {digest === null && candidate === null && (
        <p>
          Who may do what is compared with the policy that is active, or as it was approved. Choose the active
          policy as the first one, or two that followed each other.
        </p>
      )}
      {digest === null && candidate !== null && report === undefined && (
        <p>The broker asks both policies about everybody that it knows. It is recorded that you asked.</p>
      )}
      {approved.error !== null && <FaultView fault={approved.error} />}
      {check.error !== null && <FaultView fault={check.error} />}
      {check.data?.state === 'failed' && <p>{check.data.fault?.detail}</p>}
      {report !== undefined && report.access === undefined && (
        <p>You may not read who has access, so this part is not shown to you.</p>
      )}
      {report?.access !== undefined && <AccessDifferences access={report.access} />}
    </Panel>
  );
}

/** Starts the checks of a stored policy, and waits for them. */
async function runOf(policy_hash: string): Promise<Answer<'getPolicyChecks'>> {
  let run = await api('checkPolicy', { body: { policy_hash } });
  while (run.state === 'running') {
    await new Promise((resolve) => setTimeout(resolve, 500));
    run = await api('getPolicyChecks', { params: { id: run.id } });
  }
  return run;
}
