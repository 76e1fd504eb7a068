import type { RequestView } from '../../../requests/view.ts';
import { Digest } from '../../parts/digest.tsx';
import { FactList } from '../../parts/fact-list.tsx';
import { Moment } from '../../parts/moment.tsx';
import { Panel } from '../../parts/panel.tsx';
import { Untrusted } from '../../parts/untrusted.tsx';

const KINDS: Readonly<Record<RequestView['proposer']['kind'], string>> = {
  person: 'A person, signed in',
  workload: 'A job, by the token of its platform',
  agent: 'An agent, which acts for a person',
};

const LEVELS = [
  'at an unknown level',
  'with one factor',
  'with two factors',
  'resistant to phishing',
] as const;

/** Who proposed it, and what proved it: the sign-in of a person, or what the platform of a job signed about it. */
export function OriginPanel({ request }: { request: RequestView }) {
  const { proposer, authors, reason, ticket } = request;
  const { auth, claims, trust_rule, started_by = [], act = [] } = proposer;
  const others = authors.filter((author) => author !== proposer.person && !started_by.includes(author));
  const more = Object.entries(claims)
    .filter(([name]) => !FIRST.has(name))
    .sort(([one], [other]) => (one < other ? -1 : 1));
  return (
    <Panel title="Who proposed it">
      <FactList
        facts={[
          ['Reason', <Untrusted key="reason" text={reason} />],
          ['Ticket', ticket === null ? 'none' : <Untrusted key="ticket" text={ticket} />],
          ['Known as', <Untrusted key="id" text={proposer.id} />],
          ['Evidence', KINDS[proposer.kind]],
          ['Vouched for by', <Untrusted key="issuer" text={proposer.issuer} />],
          auth === null
            ? null
            : [
                'Signed in',
                <>
                  level {auth.level}, {LEVELS[auth.level] ?? 'stronger than that'}
                  {auth.auth_time_ms !== null && (
                    <>
                      , <Moment ms={auth.auth_time_ms} as="full" />
                    </>
                  )}
                </>,
              ],
          trust_rule === null ? null : ['Trust rule', <Untrusted key="rule" text={trust_rule} />],
          ...CLAIMS.map(([name, words]) =>
            claims[name] === undefined
              ? null
              : ([words, <ClaimText key={name} value={claims[name]} />] as const),
          ),
          more.length === 0
            ? null
            : [
                'Claims',
                <details key="claims">
                  <summary>{more.length} more</summary>
                  {more.map(([name, value]) => (
                    <p key={name}>
                      <code>
                        <Untrusted text={name} />
                      </code>{' '}
                      <ClaimText value={value} />
                    </p>
                  ))}
                </details>,
              ],
          proposer.kind === 'person' || proposer.person === null
            ? null
            : ['For', <Untrusted key="for" text={proposer.person} />],
          started_by.length === 0
            ? null
            : ['Started by', <Untrusted key="started" text={started_by.join(', ')} />],
          act.length === 0 ? null : ['Acts through', <Untrusted key="act" text={act.join(', ')} />],
          others.length === 0 ? null : ['Also wrote it', <Untrusted key="others" text={others.join(', ')} />],
          ['Digest', <Digest key="digest" digest={request.digest} of="digest of the content" />],
        ]}
      />
    </Panel>
  );
}

/** The claims of jobs that a reader asks about first; the others keep their names. */
const CLAIMS = [
  ['repository', 'Repository'],
  ['project_path', 'Project'],
  ['workflow_ref', 'Workflow'],
  ['ref', 'Branch or tag'],
  ['sha', 'Commit'],
  ['actor', 'Run by'],
  ['user_login', 'Run by user'],
] as const;
const FIRST: ReadonlySet<string> = new Set(CLAIMS.map(([name]) => name));

function ClaimText({ value }: { value: RequestView['proposer']['claims'][string] }) {
  return <Untrusted text={Array.isArray(value) ? value.join(', ') : String(value)} />;
}

/** What the policy answered last. */
export function StandingPanel({ request: { standing, decision_id } }: { request: RequestView }) {
  const { effect, reasons, policy_hash, at_ms, conflict } = standing;
  return (
    <Panel title="What the policy says">
      <ul>
        {reasons.map(({ code, detail }) => (
          <li key={`${code} ${detail}`}>
            <code>{code}</code> <Untrusted text={detail} />
          </li>
        ))}
      </ul>
      <FactList
        facts={[
          ['Effect', effect],
          conflict === undefined ? null : ['Conflict', <Untrusted key="conflict" text={conflict} />],
          ['Decided', <Moment key="at" ms={at_ms} as="full" />],
          ['Policy', <Digest key="policy" digest={policy_hash} of="policy hash" />],
          ['Decision', <code key="decision">{decision_id}</code>],
        ]}
      />
    </Panel>
  );
}
