import { Link, useNavigate } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import { useRef } from 'react';
import type { RequestView } from '../../requests/view.ts';
import { useLetterKeys } from './letter-keys.ts';
import { Moment } from './moment.tsx';
import styles from './request-list.module.css';
import { requestInWords, standingInWords } from './request-words.ts';
import { StateMark } from './state-mark.tsx';
import { Untrusted } from './untrusted.tsx';

/** Requests, one a row: what each does, whose it is, and what it waits for. `j` and `k` move through all lists of a page. */
export function RequestList({
  label,
  requests,
  why,
}: {
  label: string;
  requests: readonly RequestView[];
  /** Why a request is in this list. */
  why?: (request: RequestView) => ReactNode;
}) {
  return (
    <ul className={styles.list} aria-label={label}>
      {requests.map((request) => (
        <li key={request.id} className={styles.row}>
          <StateMark state={request.state} />
          <div className={styles.what}>
            <Link to="/requests/$id" params={{ id: request.id }} className={styles.title} data-list-item>
              <Untrusted text={requestInWords(request)} />
            </Link>
            <p className={styles.reason}>
              <Untrusted text={request.reason} />
            </p>
            <p className={styles.about}>
              <span>{standingInWords(request)}</span>
              {why !== undefined && <span className={styles.why}>{why(request)}</span>}
              <span>
                <Untrusted text={request.proposer.person ?? request.proposer.id} />,{' '}
                <Moment ms={request.created_ms} />
              </span>
              {request.environment !== null && <span className={styles.place}>{request.environment}</span>}
            </p>
          </div>
        </li>
      ))}
    </ul>
  );
}

/** The keys of lists: `j` and `k` move the focus through the items of a page. */
export function useListKeys(): void {
  const last = useRef<string | null>(null);
  const navigate = useNavigate();
  const move = (step: number) => {
    const items = [...document.querySelectorAll<HTMLElement>('[data-list-item]')];
    if (items.length === 0) return;
    const now = items.indexOf(document.activeElement as HTMLElement);
    const next = now === -1 ? (step > 0 ? 0 : items.length - 1) : now + step;
    const item = items[Math.max(0, Math.min(items.length - 1, next))];
    last.current = item?.getAttribute('href') ?? null;
    item?.focus();
  };
  useLetterKeys({
    j: () => move(1),
    k: () => move(-1),
    o: () => {
      if (last.current !== null) navigate({ to: last.current }).catch(() => undefined);
    },
  });
}
