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

/** Who proposed it, and by what they were known. */
export function OriginPanel({ request }: { request: RequestView }) {
  const { proposer, authors, reason, ticket } = request;
  const others = authors.filter((author) => author !== proposer.person);
  return (
    <Panel title="Who proposed it">
      <FactList
        facts={[
          ['Reason', <Untrusted key="reason" text={reason} />],
          ['Ticket', ticket === null ? 'none' : <Untrusted key="ticket" text={ticket} />],
          ['Known as', <Untrusted key="id" text={proposer.id} />],
          ['Evidence', KINDS[proposer.kind]],
          proposer.kind === 'person' || proposer.person === null
            ? null
            : ['For', <Untrusted key="for" text={proposer.person} />],
          others.length === 0 ? null : ['Also wrote it', <Untrusted key="others" text={others.join(', ')} />],
          ['Digest', <Digest key="digest" digest={request.digest} of="digest of the content" />],
        ]}
      />
    </Panel>
  );
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
