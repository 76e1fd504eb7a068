import { useQuery } from '@tanstack/react-query';
import { getRouteApi, useNavigate } from '@tanstack/react-router';
import { type ReactNode, useEffect, useState } from 'react';
import type { RequestView } from '../../../requests/view.ts';
import { api } from '../../api/api.ts';
import { REFRESH_MS, waitingForMe } from '../../api/queries.ts';
import { usePerson } from '../../app/session.tsx';
import { announce } from '../../parts/announce.tsx';
import { Button } from '../../parts/button.tsx';
import { FaultView } from '../../parts/fault.tsx';
import { useLetterKeys } from '../../parts/letter-keys.ts';
import { Moment } from '../../parts/moment.tsx';
import { PageHead } from '../../parts/page-head.tsx';
import { isOpen, requestInWords, shortDigest, standingInWords } from '../../parts/request-words.ts';
import { Skeleton } from '../../parts/skeleton.tsx';
import { StateMark } from '../../parts/state-mark.tsx';
import { Untrusted } from '../../parts/untrusted.tsx';
import { ActDialog } from './act-dialog.tsx';
import { type Act, isAuthorOf, refusalsOf } from './acts.ts';
import { ChangePanel } from './change.tsx';
import { CommentsPanel } from './comments.tsx';
import { FactsPanel } from './facts.tsx';
import { GatesPanel } from './gates.tsx';
import { OriginPanel, StandingPanel } from './origin.tsx';
import { PreviewPanel } from './preview.tsx';
import styles from './request.module.css';
import { TimelinePanel } from './timeline.tsx';

const route = getRouteApi('/requests/$id');

/** One request: what it does, what it needs, and the way to decide about it. */
export function RequestPage(): ReactNode {
  const { id } = route.useParams();
  const { data, error, isPending } = useQuery({
    queryKey: ['request', id],
    queryFn: ({ signal }) => api('getRequest', { params: { id }, signal }),
    // Whoever comes back to the page decides about what it is now.
    staleTime: 0,
    refetchInterval: REFRESH_MS,
  });
  if (data !== undefined) return <Request key={id} latest={data} />;
  return (
    <>
      <PageHead title="Request" />
      {isPending ? <Skeleton lines={6} /> : <FaultView fault={error} />}
    </>
  );
}

/** @param latest the request as it is; what is shown keeps the content that somebody has begun to read */
function Request({ latest }: { latest: RequestView }) {
  const { view = 'sentence', act } = route.useSearch();
  const navigate = useNavigate({ from: '/requests/$id' });
  const person = usePerson();
  const [read, setRead] = useState(latest);
  const hasMoved = latest.digest !== read.digest;
  const request = hasMoved ? read : latest;
  const setAct = (next: Act | undefined) => {
    navigate({
      search: (search) => ({ ...search, act: next }),
      replace: next === undefined,
      resetScroll: false,
    }).catch(() => undefined);
  };
  useEffect(() => {
    if (hasMoved)
      announce('The content of this request has changed. Nothing can be decided until you read it again.');
  }, [hasMoved]);
  const inbox = useQuery(waitingForMe);
  const waiting = inbox.data?.items.find((item) => item.request.id === request.id);
  // A request beyond the first page of an inbox may still be in it.
  const isKnown = inbox.data !== undefined && inbox.data.next_cursor === null;
  const refusals = refusalsOf(request, person, waiting !== undefined ? true : isKnown ? false : null);
  const canAct = isOpen(request) && !hasMoved;
  const openIf = (next: Act) => () => {
    if (canAct && refusals[next] === undefined) setAct(next);
  };
  useLetterKeys({
    a: openIf('approve'),
    x: openIf('reject'),
    c: () => document.querySelector<HTMLElement>('[name="comment"]')?.focus(),
  });
  return (
    <>
      <PageHead
        tab={`${requestInWords(request).slice(0, 60)}`}
        title={
          <>
            Request <code>{shortDigest(request.digest)}</code>
          </>
        }
      >
        <StateMark state={request.state} />
      </PageHead>
      {hasMoved && (
        <div className={styles.moved} role="alert">
          <p>
            <strong>The content has changed while you looked at it.</strong> You read{' '}
            <code>{shortDigest(read.digest)}</code>; it is <code>{shortDigest(latest.digest)}</code> now. An
            approval of what you read would not count.
          </p>
          <Button
            onPress={() => {
              setRead(latest);
              setAct(undefined);
            }}
          >
            Show the new content
          </Button>
        </div>
      )}
      <p className={styles.standing}>{standingInWords(request)}.</p>
      <p className={styles.by}>
        <Untrusted text={request.proposer.person ?? request.proposer.id} /> proposed it{' '}
        <Moment ms={request.created_ms} />
        {request.environment !== null && <> for {request.environment}</>}: “
        <Untrusted text={request.reason} />”
        {request.ticket !== null && (
          <>
            {' '}
            (<Untrusted text={request.ticket} />)
          </>
        )}
      </p>
      <div className={styles.page}>
        <div className={styles.columns}>
          <div className={styles.column}>
            <ChangePanel request={request} view={view} />
            <FactsPanel request={request} />
          </div>
          <div className={styles.column}>
            <GatesPanel
              request={request}
              refusals={hasMoved ? allRefused : refusals}
              onAct={(next) => setAct(next)}
            />
            <OriginPanel request={request} />
            <StandingPanel request={request} />
          </div>
        </div>
        {request.changes.length > 0 && <PreviewPanel id={request.id} />}
        <CommentsPanel request={request} isOff={hasMoved} />
        <TimelinePanel request={request} />
      </div>
      {isOpen(request) && (
        <ActBar
          request={request}
          person={person}
          refusals={refusals}
          isOff={hasMoved}
          onAct={(next) => setAct(next)}
        />
      )}
      {act !== undefined && canAct && refusals[act] === undefined && (
        <ActDialog act={act} request={request} onClose={() => setAct(undefined)} />
      )}
    </>
  );
}

const MOVED = 'The content has changed: read it again first.';
const allRefused: Readonly<Partial<Record<Act, string>>> = {
  approve: MOVED,
  reject: MOVED,
  edit: MOVED,
  rebase: MOVED,
  schedule: MOVED,
  apply: MOVED,
  withdraw: MOVED,
};

/** The bar at the foot of the page. */
function ActBar({
  request,
  person,
  refusals,
  isOff,
  onAct,
}: {
  request: RequestView;
  person: string | null;
  refusals: Readonly<Partial<Record<Act, string>>>;
  isOff: boolean;
  onAct: (act: Act) => void;
}) {
  const isAuthor = isAuthorOf(request, person);
  const mayApply = request.gates.some(({ code }) => code === 'apply_required');
  return (
    <section className={styles.bar} aria-label="Decide">
      {mayApply && (
        <Button kind="primary" isDisabled={isOff} onPress={() => onAct('apply')}>
          Apply {shortDigest(request.digest)}
        </Button>
      )}
      {isAuthor ? (
        <>
          <Button isDisabled={isOff} onPress={() => onAct('edit')}>
            Edit
          </Button>
          <Button isDisabled={isOff} onPress={() => onAct('schedule')}>
            Schedule
          </Button>
          <Button isDisabled={isOff} onPress={() => onAct('rebase')}>
            Rebase
          </Button>
          <Button kind="danger" isDisabled={isOff} onPress={() => onAct('withdraw')}>
            Withdraw
          </Button>
        </>
      ) : (
        <>
          {refusals.approve === undefined && (
            <Button kind="primary" isDisabled={isOff} onPress={() => onAct('approve')}>
              Approve {shortDigest(request.digest)}
            </Button>
          )}
          <Button kind="danger" isDisabled={isOff} onPress={() => onAct('reject')}>
            Reject
          </Button>
        </>
      )}
      {refusals.approve !== undefined && <p className={styles.note}>{refusals.approve}</p>}
    </section>
  );
}
