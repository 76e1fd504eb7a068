import type { ReactNode } from 'react';
import type { RequestView } from '../../../requests/view.ts';
import { Moment } from '../../parts/moment.tsx';
import { Panel } from '../../parts/panel.tsx';
import { isOpen, STATE_WORDS, shortDigest } from '../../parts/request-words.ts';
import { Untrusted } from '../../parts/untrusted.tsx';
import styles from './timeline.module.css';

interface Happening {
  at_ms: number;
  what: ReactNode;
}

/** What happened to the request, oldest first: who, when, and about which content. */
export function TimelinePanel({ request }: { request: RequestView }) {
  const { proposer, created_ms, updated_ms, approvals, rejections, state, revision, digest } = request;
  const happenings: Happening[] = [
    {
      at_ms: created_ms,
      what: (
        <>
          Proposed by <Untrusted text={proposer.person ?? proposer.id} />
        </>
      ),
    },
    ...approvals.map((vote) => ({
      at_ms: vote.at_ms,
      what: (
        <>
          Approved by <Untrusted text={vote.person} />: <code>{shortDigest(vote.digest)}</code>
          {!vote.counts && ' (counts no more: the content is another one, or the vote was voided)'}
        </>
      ),
    })),
    ...rejections.map((vote) => ({
      at_ms: vote.at_ms,
      what: (
        <>
          Rejected by <Untrusted text={vote.person} />: <code>{shortDigest(vote.digest)}</code>
          {vote.comment !== null && (
            <>
              . <Untrusted text={vote.comment} />
            </>
          )}
        </>
      ),
    })),
    ...(revision > 1
      ? [
          {
            at_ms: updated_ms,
            what: (
              <>
                Edited or rebased; it is revision {revision} with digest <code>{shortDigest(digest)}</code>
              </>
            ),
          },
        ]
      : []),
    ...(isOpen(request) ? [] : [{ at_ms: updated_ms, what: STATE_WORDS[state] }]),
  ].sort((one, other) => one.at_ms - other.at_ms);
  return (
    <Panel title="Timeline">
      <ol className={styles.list}>
        {happenings.map(({ at_ms, what }, place) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: two things can happen at the same moment
          <li key={`${at_ms} ${place}`}>
            <p>{what}</p>
            <p className={styles.when}>
              <Moment ms={at_ms} as="full" />
            </p>
          </li>
        ))}
        {isOpen(request) && (
          <li>
            <p>Expires, if nothing happens</p>
            <p className={styles.when}>
              <Moment ms={request.expires_ms} as="full" />
            </p>
          </li>
        )}
      </ol>
    </Panel>
  );
}
