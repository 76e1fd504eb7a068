import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import type { ExplanationView } from '../../../explain/view.ts';
import { api } from '../../api/api.ts';
import { Fault } from '../../api/fault.ts';
import { changeInWords, folded, listed } from '../../parts/change-words.ts';
import { FaultView } from '../../parts/fault.tsx';
import { Moment } from '../../parts/moment.tsx';
import { Panel } from '../../parts/panel.tsx';
import { Skeleton } from '../../parts/skeleton.tsx';
import { Untrusted } from '../../parts/untrusted.tsx';
import { isAskable, type TypedProposal, toContent, type UsersOf } from './proposal.ts';
import styles from './propose.module.css';

/** How long nothing must have been typed before the policy is asked, in milliseconds. */
const PAUSE_MS = 600;

const EFFECTS: Readonly<Record<ExplanationView['effect'], string>> = {
  allow: 'It would be applied at once.',
  hold: 'It would be held until everything here is given:',
  deny: 'It would be refused:',
};

/** What the policy would answer to what is typed. Nothing is proposed by asking. */
export function useWhatIf(proposal: TypedProposal, usersOf: UsersOf) {
  const [asked, setAsked] = useState(proposal);
  useEffect(() => {
    const timer = setTimeout(() => setAsked(proposal), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [proposal]);
  const content = toContent(asked, usersOf);
  // The reason decides nothing, and may come last.
  const plan = { ...content, reason: content.reason === '' ? 'What would happen?' : content.reason };
  return useQuery({
    queryKey: ['what-if', plan],
    queryFn: ({ signal }) => api('explainPolicy', { body: { plan }, signal }),
    enabled: isAskable(asked),
    placeholderData: keepPreviousData,
    staleTime: 30_000,
    retry: false,
  });
}

/** What is wrong with what is typed so far. Nobody has failed: it is not sent. */
function NotYet({ fault }: { fault: Error }) {
  if (!(fault instanceof Fault) || fault.errors.length === 0) return <FaultView fault={fault} />;
  return (
    <ul className={styles.needs}>
      {fault.errors.map(({ pointer, detail }) => (
        <li key={`${pointer} ${detail}`}>
          {placeInWords(pointer)}: <Untrusted text={detail} />
        </li>
      ))}
    </ul>
  );
}

/** Where in the form a pointer leads. */
function placeInWords(pointer: string): string {
  const place = /\/changes\/(\d+)/.exec(pointer)?.[1];
  if (place !== undefined) return `Change ${Number(place) + 1}`;
  return pointer.slice(pointer.lastIndexOf('/') + 1).replaceAll('_', ' ');
}

/** The answer, beside the form. */
export function WhatIfPanel({
  answer: { data, error, isFetching, isPending },
  isAskable,
}: {
  answer: ReturnType<typeof useWhatIf>;
  isAskable: boolean;
}) {
  return (
    <Panel title="What will the policy say?">
      {!isAskable && <p className={styles.calm}>It answers here as soon as each change names a flag.</p>}
      {isAskable && isPending && isFetching && <Skeleton lines={2} />}
      {isAskable && error !== null && <NotYet fault={error} />}
      {isAskable && error === null && data !== undefined && (
        <>
          <ul className={styles.sentences}>
            {folded(data.plan?.changes ?? []).map(({ change }) => (
              <li key={`${change.flag.key} ${change.action}`}>
                <Untrusted text={changeInWords(change, data.environment)} />
              </li>
            ))}
          </ul>
          <p className={styles[data.effect]}>{EFFECTS[data.effect]}</p>
          <ul className={styles.needs}>
            {data.effect === 'deny' &&
              data.gates.map((gate) => (
                <li key={`${gate.code} ${gate.detail}`}>
                  <Untrusted text={gate.detail} /> Who can clear it: <Untrusted text={gate.cleared_by} />.
                </li>
              ))}
            {data.effect === 'hold' &&
              data.obligations.map(({ gate, who, opens }) => (
                <li key={`${gate.code} ${gate.detail}`}>
                  <Untrusted text={gate.detail} />
                  {who !== null && who.length > 0 && (
                    <>
                      {' '}
                      Known: <Untrusted text={listed(who.map(({ person, id }) => person ?? id))} />.
                    </>
                  )}
                  {opens !== null && (
                    <>
                      {' '}
                      {opens.local}, which is <Moment ms={opens.opens_ms} as="full" /> in your time.
                    </>
                  )}
                </li>
              ))}
          </ul>
        </>
      )}
    </Panel>
  );
}
