import { Link } from '@tanstack/react-router';
import type { RequestView } from '../../../requests/view.ts';
import { isOpen, sentencesOf, standingInWords } from '../../parts/request-words.ts';
import { StateMark } from '../../parts/state-mark.tsx';
import { Untrusted } from '../../parts/untrusted.tsx';
import styles from './incident.module.css';

/** What became of a proposal: where it is, and what it waits for. */
export function Outcome({ request }: { request: RequestView }) {
  return (
    <div className={styles.outcome}>
      <p>
        <StateMark state={request.state} />{' '}
        {sentencesOf(request).map((sentence) => (
          <Untrusted key={sentence} text={`${sentence}. `} />
        ))}
        {isOpen(request) && `${standingInWords(request)}.`}
      </p>
      <Link to="/requests/$id" params={{ id: request.id }}>
        {isOpen(request) ? 'Open the request, and send its address to who can approve' : 'Open the request'}
      </Link>
    </div>
  );
}
