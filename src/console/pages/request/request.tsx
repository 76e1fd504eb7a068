import { useQuery } from '@tanstack/react-query';
import { getRouteApi, useNavigate } from '@tanstack/react-router';
import { type ReactNode, useEffect, useState } from 'react';
import type { RequestView } from '../../../requests/view.ts';
import { api } from '../../api/api.ts';
import { Fault } from '../../api/fault.ts';
import { REFRESH_MS, waitsForMe } from '../../api/queries.ts';
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
import { ACTS, type Act, isAuthorOf, refusalsOf } from './acts.ts';
import { ChangePanel } from './change.tsx';
import { CommentsPanel } from './comments.tsx';
import { FactsPanel } from './facts.tsx';
import { GatesPanel } from './gates.tsx';
import { OriginPanel, StandingPanel } from './origin.tsx';
import { PreviewPanel } from './preview.tsx';
import styles from './request.module.css';
import { TimelinePanel } from './timeline.tsx';

const route = getRouteApi('/requests/$id');

/** Answers after which nothing of the request may be shown any more. */
const REFUSED: readonly number[] = [401, 403, 404];

/** One request: what it does, what it needs, and the way to decide about it. */
export function RequestPage(): ReactNode {
  const { id } = route.useParams();
  const { data, error, refetch } = useQuery({
    queryKey: ['request', id],
    queryFn: ({ signal }) => api('getRequest', { params: { id }, signal }),
    // Whoever comes back to the page decides about what it is now.
    staleTime: 0,
    refetchInterval: REFRESH_MS,
  });
  const isRefused = error instanceof Fault && REFUSED.includes(error.status);
  if (data !== undefined && !isRefused) {
    return <Request key={id} latest={data} fault={error} onReadAgain={() => refetch()} />;
  }
  return (
    <>
      <PageHead title="Request" />
      {error === null ? <Skeleton lines={6} /> : <FaultView fault={error} />}
    </>
  );
}

function Request({
  latest,
  fault,
  onReadAgain,
}: {
  /** The request as it is. What is shown keeps the content that somebody has begun to read. */
  latest: RequestView;
  /** Why it could not be read again, so that it may have changed. */
  fault: Error | null;
  onReadAgain: () => void;
}) {
  const { view = 'sentence', act, read: readBefore } = route.useSearch();
  const navigate = useNavigate({ from: '/requests/$id' });
  const person = usePerson();
  const [read, setRead] = useState({
    digest: act === undefined ? latest.digest : (readBefore ?? latest.digest),
    shown: latest,
  });
  // Whoever changes the content themselves need not be told of it.
  const [own, setOwn] = useState<string | null>(null);
  if (latest.digest === own && read.digest !== own) setRead({ digest: own, shown: latest });
  const hasMoved = latest.digest !== read.digest && latest.digest !== own;
  const request = hasMoved ? read.shown : latest;
  const setAct = (next: Act | undefined) => {
    navigate({
      search: (search) => ({ ...search, act: next, read: next && read.digest }),
      replace: next === undefined,
      resetScroll: false,
    }).catch(() => undefined);
  };
  useEffect(() => {
    if (hasMoved)
      announce('The content of this request has changed. Nothing can be decided until you read it again.');
  }, [hasMoved]);
  const isAuthor = isAuthorOf(request, person);
  const waits = useQuery({ ...waitsForMe(request.id), enabled: isOpen(request) && !isAuthor });
  const refusals = refusalsOf(request, person, waits.data === undefined ? null : waits.data.items.length > 0);
  const off = hasMoved ? MOVED : fault === null ? null : NOT_CURRENT;
  const reasonAgainst = (next: Act) =>
    off ?? (isOpen(request) ? (refusals[next] ?? null) : `It is ${request.state} already.`);
  const openIf = (next: Act) => () => {
    if (reasonAgainst(next) === null) setAct(next);
  };
  // A dialog that was opened stays until it is closed: what it says must not vanish with what is read meanwhile.
  const [dialog, setDialog] = useState<{ of?: Act | undefined; isOpen: boolean }>({ isOpen: false });
  if (dialog.of !== act) {
    setDialog({ of: act, isOpen: act !== undefined && reasonAgainst(act) === null });
  }
  const isLeftOver = act !== undefined && dialog.of === act && !dialog.isOpen && !hasMoved;
  useEffect(() => {
    if (!isLeftOver) return;
    navigate({ search: (search) => ({ ...search, act: undefined, read: undefined }), replace: true }).catch(
      () => undefined,
    );
  }, [isLeftOver, navigate]);
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
              setRead({ digest: latest.digest, shown: latest });
              setAct(undefined);
            }}
          >
            Show the new content
          </Button>
        </div>
      )}
      {fault !== null && (
        <div className={styles.moved}>
          <p>
            <strong>This may not be current.</strong> The request could not be read again, so nothing can be
            decided here now.
          </p>
          <FaultView fault={fault} />
          <Button onPress={onReadAgain}>Read it again</Button>
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
              refusals={off === null ? refusals : Object.fromEntries(ACTS.map((each) => [each, off]))}
              onAct={(next) => setAct(next)}
            />
            <OriginPanel request={request} />
            <StandingPanel request={request} />
          </div>
        </div>
        {request.changes.length > 0 && <PreviewPanel id={request.id} digest={request.digest} />}
        <CommentsPanel request={request} isOff={off !== null} />
        <TimelinePanel request={request} />
      </div>
      {isOpen(request) && (
        <ActBar
          request={request}
          person={person}
          refusals={refusals}
          isOff={off !== null}
          onAct={(next) => setAct(next)}
        />
      )}
      {act !== undefined && dialog.isOpen && (
        <ActDialog
          key={act}
          act={act}
          request={request}
          off={reasonAgainst(act)}
          onDone={(answer) => {
            setOwn(answer.digest);
            setDialog({ of: act, isOpen: false });
          }}
          onClose={() => {
            setDialog({ of: act, isOpen: false });
            setAct(undefined);
          }}
        />
      )}
    </>
  );
}

const MOVED = 'The content has changed: read it again first.';
const NOT_CURRENT = 'The request could not be read again, so this may not be current.';

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
