import { useQuery } from '@tanstack/react-query';
import { Link, useParams } from '@tanstack/react-router';
import type { RecordView } from '../../../audit/view.ts';
import { type Answer, api } from '../../api/api.ts';
import { Digest } from '../../parts/digest.tsx';
import { JsonDocument } from '../../parts/document.tsx';
import { FactList } from '../../parts/fact-list.tsx';
import { FaultView } from '../../parts/fault.tsx';
import { Moment } from '../../parts/moment.tsx';
import { OutcomeMark } from '../../parts/outcome-mark.tsx';
import { PageHead } from '../../parts/page-head.tsx';
import { Panel } from '../../parts/panel.tsx';
import { Skeleton } from '../../parts/skeleton.tsx';
import { Untrusted } from '../../parts/untrusted.tsx';
import styles from './audit.module.css';
import { deedInWords, obligationInWords, whoOf } from './decision-words.ts';
import { Proof } from './proof.tsx';
import { Replay } from './replay.tsx';

/** One record of the log: what was decided and why, with what can be checked about it. */
export function DecisionPage() {
  const { id } = useParams({ from: '/audit/$id' });
  // Whoever reads a decision is recorded, so it is read once.
  const { data, error, isPending } = useQuery({
    queryKey: ['decision', id],
    queryFn: () => api('getDecision', { params: { id } }),
    staleTime: Number.POSITIVE_INFINITY,
    refetchOnWindowFocus: false,
    retry: false,
  });
  if (data === undefined) {
    return (
      <>
        <PageHead title="Decision" />
        {isPending ? <Skeleton lines={6} /> : <FaultView fault={error} />}
      </>
    );
  }
  return <Decision record={data} />;
}

function Decision({ record }: { record: Answer<'getDecision'> }) {
  const { outcome, input, result, ...rest } = record;
  return (
    <div className={styles.page}>
      <PageHead title={<Untrusted text={deedInWords(record)} />} tab={`Decision ${record.place}`}>
        <OutcomeMark effect={outcome.effect} />
      </PageHead>
      <Panel title="Why">
        <Why outcome={outcome} />
        <p>
          <Link to="/policy" search={{ tab: 'explain', decision: record.id }}>
            What would change this answer
          </Link>
        </p>
      </Panel>
      <Panel title="Who, what and where">
        <Facts record={record} />
      </Panel>
      <Replay key={`replay ${record.id}`} id={record.id} />
      <Proof key={`proof ${record.id}`} record={record} />
      <Panel title="The evidence as it is kept">
        <JsonDocument title="Input of the policy" value={input} file={`input-${record.id}.json`} />
        <JsonDocument title="Result of the policy" value={result} file={`result-${record.id}.json`} />
        <JsonDocument title="The hashed leaf" value={record.record} />
        <JsonDocument
          title="The whole record"
          value={{ ...rest, outcome, input, result }}
          file={`decision-${record.id}.json`}
        />
      </Panel>
    </div>
  );
}

function Why({ outcome: { reasons, obligations, note } }: Pick<RecordView, 'outcome'>) {
  return (
    <>
      <ul className={styles.list} aria-label="Reasons">
        {reasons.map(({ code, detail }) => (
          <li key={`${code} ${detail}`}>
            <Untrusted text={detail} /> <code>{code}</code>
          </li>
        ))}
        {note !== null && (
          <li>
            <Untrusted text={note.detail} /> <code>{note.code}</code> (the broker’s own note)
          </li>
        )}
      </ul>
      {obligations.length > 0 && (
        <>
          <h3>What was missing then</h3>
          <ul className={styles.list}>
            {obligations.map((obligation) => (
              <li key={JSON.stringify(obligation)}>
                <Untrusted text={obligationInWords(obligation)} />
              </li>
            ))}
          </ul>
        </>
      )}
    </>
  );
}

function Facts({ record }: { record: RecordView }) {
  const { principal, request, flags, correlation, policy_hash, record: leaf } = record;
  return (
    <FactList
      facts={[
        ['When', <Moment key="at" ms={record.at_ms} as="full" />],
        [
          'Who',
          <Link key="who" to="/audit" search={{ principal: whoOf(record) }}>
            <Untrusted text={whoOf(record)} />
          </Link>,
        ],
        ['Principal', <Principal key="principal" principal={principal} />],
        principal.trust_rule === null
          ? null
          : ['Trust rule', <Untrusted key="rule" text={principal.trust_rule} />],
        ['Operation', <code key="operation">{record.operation}</code>],
        ['Environment', record.environment ?? 'none'],
        flags.length === 0 ? null : ['Flags', <Flags key="flags" flags={flags} />],
        request === null ? null : ['Request', <RequestMove key="request" request={request} />],
        correlation.ticket === null ? null : ['Ticket', <Untrusted key="ticket" text={correlation.ticket} />],
        correlation.ci_run === null ? null : ['CI run', <Untrusted key="run" text={correlation.ci_run} />],
        correlation.trace_id === undefined
          ? null
          : ['Trace', <code key="trace">{correlation.trace_id}</code>],
        leaf === null || leaf.guardrail === null
          ? null
          : ['Guardrail that overruled', <code key="rail">{leaf.guardrail}</code>],
        leaf === null || leaf.stage === null ? null : ['Stage', leaf.stage],
        ['Policy', <Digest key="policy" digest={policy_hash} of="policy hash" />],
        ['Place in the log', record.place],
        ['Decision', <code key="id">{record.id}</code>],
      ]}
    />
  );
}

function Principal({ principal: { id, kind, issuer, act } }: Pick<RecordView, 'principal'>) {
  return (
    <>
      <Untrusted text={id} /> ({kind} of <Untrusted text={issuer} />)
      {act !== undefined && act.length > 0 && (
        <>
          , acting: <Untrusted text={act.join(', ')} />
        </>
      )}
    </>
  );
}

function Flags({ flags }: Pick<RecordView, 'flags'>) {
  return (
    <ul>
      {flags.map(({ flag, environment, version_before, version_after }) => (
        <li key={`${flag} ${environment}`}>
          <Link to="/flags/$key" params={{ key: flag }}>
            <Untrusted text={flag} />
          </Link>{' '}
          {environment === null ? 'definition' : `in ${environment}`}:{' '}
          {version_before === version_after
            ? `stays at version ${version_after}`
            : `version ${version_before} → ${version_after}`}
        </li>
      ))}
    </ul>
  );
}

function RequestMove({ request: { id, from, to, digest } }: { request: NonNullable<RecordView['request']> }) {
  return (
    <>
      <Link to="/requests/$id" params={{ id }}>
        {id.slice(0, 8)}
      </Link>
      : {from === null ? `new, ${to}` : from === to ? `stays ${to}` : `${from} → ${to}`}; its content is{' '}
      <Digest digest={digest} of="digest of the request" />
    </>
  );
}
